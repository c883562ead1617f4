"""The VM runtime server: CRI in front, one QEMU process a machine behind.

    server (gRPC) ──▶ runtime (life cycles, recovery) ──▶ machine (QEMU, QMP)
                          │ records (state on disk)   ──▶ cni (the port), disk, nocloud, console

A sandbox is a port of the tenant's network; a container is a virtual machine in it. Machines
outlive this process: a restart finds them by their cgroups and goes on.
"""
