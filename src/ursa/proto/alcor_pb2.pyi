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

class AgentMessage(_message.Message):
    __slots__ = ("hello", "ack", "nack")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    NACK_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    ack: Ack
    nack: Nack
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., nack: _Optional[_Union[Nack, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("node", "held", "underlay_ip")
    NODE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    UNDERLAY_IP_FIELD_NUMBER: _ClassVar[int]
    node: str
    held: Revision
    underlay_ip: str
    def __init__(self, node: _Optional[str] = ..., held: _Optional[_Union[Revision, _Mapping]] = ..., underlay_ip: _Optional[str] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("held",)
    HELD_FIELD_NUMBER: _ClassVar[int]
    held: Revision
    def __init__(self, held: _Optional[_Union[Revision, _Mapping]] = ...) -> None: ...

class Nack(_message.Message):
    __slots__ = ("refused", "reason")
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    refused: Revision
    reason: str
    def __init__(self, refused: _Optional[_Union[Revision, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class ControllerMessage(_message.Message):
    __slots__ = ("revision", "base", "store_revision", "networks", "ports", "removed_ports", "removed_networks", "peers", "peers_changed")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    STORE_REVISION_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_PORTS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_NETWORKS_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    PEERS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    revision: Revision
    base: Revision
    store_revision: int
    networks: Networks
    ports: Ports
    removed_ports: Ports
    removed_networks: Networks
    peers: _containers.RepeatedScalarFieldContainer[str]
    peers_changed: bool
    def __init__(self, revision: _Optional[_Union[Revision, _Mapping]] = ..., base: _Optional[_Union[Revision, _Mapping]] = ..., store_revision: _Optional[int] = ..., networks: _Optional[_Union[Networks, _Mapping]] = ..., ports: _Optional[_Union[Ports, _Mapping]] = ..., removed_ports: _Optional[_Union[Ports, _Mapping]] = ..., removed_networks: _Optional[_Union[Networks, _Mapping]] = ..., peers: _Optional[_Iterable[str]] = ..., peers_changed: _Optional[bool] = ...) -> None: ...

class Networks(_message.Message):
    __slots__ = ("vni", "cidr", "gateway", "gateway_mac", "bouncers")
    VNI_FIELD_NUMBER: _ClassVar[int]
    CIDR_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_MAC_FIELD_NUMBER: _ClassVar[int]
    BOUNCERS_FIELD_NUMBER: _ClassVar[int]
    vni: _containers.RepeatedScalarFieldContainer[int]
    cidr: _containers.RepeatedScalarFieldContainer[str]
    gateway: _containers.RepeatedScalarFieldContainer[str]
    gateway_mac: _containers.RepeatedScalarFieldContainer[str]
    bouncers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, vni: _Optional[_Iterable[int]] = ..., cidr: _Optional[_Iterable[str]] = ..., gateway: _Optional[_Iterable[str]] = ..., gateway_mac: _Optional[_Iterable[str]] = ..., bouncers: _Optional[_Iterable[str]] = ...) -> None: ...

class Ports(_message.Message):
    __slots__ = ("vni", "ip", "mac", "host", "tenant", "namespace", "name", "device", "nic", "prefix_length", "gateway", "mtu_bytes")
    VNI_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    NIC_FIELD_NUMBER: _ClassVar[int]
    PREFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    MTU_BYTES_FIELD_NUMBER: _ClassVar[int]
    vni: _containers.RepeatedScalarFieldContainer[int]
    ip: _containers.RepeatedScalarFieldContainer[bytes]
    mac: _containers.RepeatedScalarFieldContainer[bytes]
    host: _containers.RepeatedScalarFieldContainer[str]
    tenant: _containers.RepeatedScalarFieldContainer[str]
    namespace: _containers.RepeatedScalarFieldContainer[str]
    name: _containers.RepeatedScalarFieldContainer[str]
    device: _containers.RepeatedScalarFieldContainer[str]
    nic: _containers.RepeatedScalarFieldContainer[str]
    prefix_length: _containers.RepeatedScalarFieldContainer[int]
    gateway: _containers.RepeatedScalarFieldContainer[str]
    mtu_bytes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, vni: _Optional[_Iterable[int]] = ..., ip: _Optional[_Iterable[bytes]] = ..., mac: _Optional[_Iterable[bytes]] = ..., host: _Optional[_Iterable[str]] = ..., tenant: _Optional[_Iterable[str]] = ..., namespace: _Optional[_Iterable[str]] = ..., name: _Optional[_Iterable[str]] = ..., device: _Optional[_Iterable[str]] = ..., nic: _Optional[_Iterable[str]] = ..., prefix_length: _Optional[_Iterable[int]] = ..., gateway: _Optional[_Iterable[str]] = ..., mtu_bytes: _Optional[_Iterable[int]] = ...) -> None: ...
