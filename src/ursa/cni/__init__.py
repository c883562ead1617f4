"""CNI: what a container runtime calls to plug a pod into its network.

The plugin is a client of netd and nothing more (`client.c`, 1 ms; `client.py` is its twin for
machines without a compiler); the work is `server.Server`'s, which runs in netd.
"""
