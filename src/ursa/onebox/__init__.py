"""The onebox: a whole cloud on one machine, its nodes in network namespaces."""
