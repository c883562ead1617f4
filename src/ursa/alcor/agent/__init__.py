"""Alcor's control agent: takes a node's goal states and has its data plane hold them."""
