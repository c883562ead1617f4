"""The unified scheduler: one path for container pods and VM pods, over columns of nodes."""
