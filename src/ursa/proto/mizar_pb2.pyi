from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Revision(_message.Message):
    __slots__ = ("epoch", "counter")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    counter: int
    def __init__(self, epoch: _Optional[int] = ..., counter: _Optional[int] = ...) -> None: ...

class Endpoint(_message.Message):
    __slots__ = ("vni", "ip", "mac", "host")
    VNI_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    vni: int
    ip: bytes
    mac: bytes
    host: bytes
    def __init__(self, vni: _Optional[int] = ..., ip: _Optional[bytes] = ..., mac: _Optional[bytes] = ..., host: _Optional[bytes] = ...) -> None: ...

class Network(_message.Message):
    __slots__ = ("vni", "prefix", "prefix_length", "gateway", "gateway_mac", "bouncers")
    VNI_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PREFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_MAC_FIELD_NUMBER: _ClassVar[int]
    BOUNCERS_FIELD_NUMBER: _ClassVar[int]
    vni: int
    prefix: bytes
    prefix_length: int
    gateway: bytes
    gateway_mac: bytes
    bouncers: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, vni: _Optional[int] = ..., prefix: _Optional[bytes] = ..., prefix_length: _Optional[int] = ..., gateway: _Optional[bytes] = ..., gateway_mac: _Optional[bytes] = ..., bouncers: _Optional[_Iterable[bytes]] = ...) -> None: ...

class NodeState(_message.Message):
    __slots__ = ("revision", "host", "networks", "endpoints", "peers")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    revision: Revision
    host: bytes
    networks: _containers.RepeatedCompositeFieldContainer[Network]
    endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    peers: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, revision: _Optional[_Union[Revision, _Mapping]] = ..., host: _Optional[bytes] = ..., networks: _Optional[_Iterable[_Union[Network, _Mapping]]] = ..., endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., peers: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Delta(_message.Message):
    __slots__ = ("base", "revision", "put_endpoints", "remove_endpoints", "put_networks", "remove_networks", "peers_changed", "peers")
    BASE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PUT_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    REMOVE_ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    PUT_NETWORKS_FIELD_NUMBER: _ClassVar[int]
    REMOVE_NETWORKS_FIELD_NUMBER: _ClassVar[int]
    PEERS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    base: Revision
    revision: Revision
    put_endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    remove_endpoints: _containers.RepeatedCompositeFieldContainer[Endpoint]
    put_networks: _containers.RepeatedCompositeFieldContainer[Network]
    remove_networks: _containers.RepeatedCompositeFieldContainer[Network]
    peers_changed: bool
    peers: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, base: _Optional[_Union[Revision, _Mapping]] = ..., revision: _Optional[_Union[Revision, _Mapping]] = ..., put_endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., remove_endpoints: _Optional[_Iterable[_Union[Endpoint, _Mapping]]] = ..., put_networks: _Optional[_Iterable[_Union[Network, _Mapping]]] = ..., remove_networks: _Optional[_Iterable[_Union[Network, _Mapping]]] = ..., peers_changed: _Optional[bool] = ..., peers: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Held(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: Revision
    def __init__(self, revision: _Optional[_Union[Revision, _Mapping]] = ...) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Attachment(_message.Message):
    __slots__ = ("interface", "vni", "ip", "mac", "tap", "mtu_bytes")
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    TAP_FIELD_NUMBER: _ClassVar[int]
    MTU_BYTES_FIELD_NUMBER: _ClassVar[int]
    interface: str
    vni: int
    ip: bytes
    mac: bytes
    tap: bool
    mtu_bytes: int
    def __init__(self, interface: _Optional[str] = ..., vni: _Optional[int] = ..., ip: _Optional[bytes] = ..., mac: _Optional[bytes] = ..., tap: _Optional[bool] = ..., mtu_bytes: _Optional[int] = ...) -> None: ...

class Attached(_message.Message):
    __slots__ = ("ifindex",)
    IFINDEX_FIELD_NUMBER: _ClassVar[int]
    ifindex: int
    def __init__(self, ifindex: _Optional[int] = ...) -> None: ...

class DetachRequest(_message.Message):
    __slots__ = ("interface",)
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    interface: str
    def __init__(self, interface: _Optional[str] = ...) -> None: ...

class DetachReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAttachmentsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Attachments(_message.Message):
    __slots__ = ("attachments",)
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    attachments: _containers.RepeatedCompositeFieldContainer[Attachment]
    def __init__(self, attachments: _Optional[_Iterable[_Union[Attachment, _Mapping]]] = ...) -> None: ...

class DropsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DropCounts(_message.Message):
    __slots__ = ("packets",)
    class PacketsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PACKETS_FIELD_NUMBER: _ClassVar[int]
    packets: _containers.ScalarMap[str, int]
    def __init__(self, packets: _Optional[_Mapping[str, int]] = ...) -> None: ...
