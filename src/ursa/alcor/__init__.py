"""Alcor: the network's control plane. Its controller allocates and compiles goal states; its
control agent, in each node's netd, has the data plane hold them and says so.
"""
