"""The transit daemon: owns the data plane of one host. What others use of it:

    from ursa.mizar.daemon import open_data_plane, Transit

    transit = open_data_plane(bpffs=Path(…), objects=Path(…), uplink="eth0")

`open_data_plane` blocks (about 50 ms) and runs in the node's network namespace, in the thread
that calls it: read the uplink's address, load the programs, pin them and their maps in `bpffs`
(a mounted bpffs of this node alone), put transit on the uplink, renew the agents of interfaces
that are attached already. What an earlier daemon left in `bpffs` is taken over; not a packet is
lost. `objects` is what `ursa.mizar.loader.build_objects(cache_dir)` returned.

`Transit` is both a plain object for use in process and the gRPC servicer of proto/mizar.proto:
each method takes and returns the protobuf message of its RPC, and `context` may be left out.

    held = await transit.Apply(NodeState(...))    a snapshot; Held is what the maps hold
    held = await transit.Update(Delta(...))       Conflict: another base is held, send a snapshot
    state = await transit.Read(ReadRequest())
    await transit.Attach(Attachment(interface="veth1", vni=7, ip=…, mac=…, tap=False))
    await transit.Detach(DetachRequest(interface="veth1"))
    await transit.ListAttachments(...)  await transit.Drops(...)

They raise ApiErrors: BadRequest (a field that makes no sense), NotFound (no such interface),
Conflict (another base; an address that another interface has; an underlay MTU too small). A
call to the kernel that fails is a `ursa.mizar.libbpf.BpfError`; opening may also raise
DataPlaneError.

Order of events for a port: Apply or Update with its endpoint, then Attach, or the other way
round. Held of revision zero after a crash in the middle of a write asks for a snapshot.

What the maker of a pod's interface must do: turn tx-udp-segmentation, tx-udp_tnl-segmentation
and tx-udp_tnl-csum-segmentation off on the pod's end (`ursa.base.ethtool`); leave the other
offloads on; leave gso_max_size at 65,536 or below.
"""

from ursa.mizar.daemon.kernel import DataPlaneError, open_data_plane
from ursa.mizar.daemon.server import serve
from ursa.mizar.daemon.transit import Transit

__all__ = ["DataPlaneError", "Transit", "open_data_plane", "serve"]
