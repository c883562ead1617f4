"""Kubernetes' protobuf bodies. The builder writes protobuf by hand, so that both ends differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ursa.api import protobuf
from ursa.base.errors import BadRequest


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value % (1 << 64))
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\0" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


def test_scalars_lists_maps_and_messages_come_out_as_json_shows_them():
    metadata = field(1, "web") + field(5, "") + field(11, field(1, "app") + field(2, "x"))
    metadata += field(8, field(1, 1_700_000_000)) + field(14, "a") + field(14, "b")
    port = field(1, "http") + field(2, 0) + field(3, 80)
    limits = field(1, field(1, "cpu") + field(2, field(1, "100m")))
    probe = field(1, field(2, field(2, field(1, 1) + field(3, "http")))) + field(2, -1)
    container = field(1, "main") + field(6, port) + field(8, limits) + field(10, probe)
    pod = field(1, metadata) + field(2, field(2, container) + field(4, 0))
    assert protobuf.decode(body("v1", "Pod", pod)) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web",
            "labels": {"app": "x"},
            "creationTimestamp": "2023-11-14T22:13:20Z",
            "finalizers": ["a", "b"],
        },
        "spec": {
            "containers": [
                {
                    "name": "main",
                    "ports": [{"name": "http", "containerPort": 80}],
                    "resources": {"limits": {"cpu": "100m"}},
                    "livenessProbe": {"httpGet": {"port": "http"}, "initialDelaySeconds": -1},
                }
            ],
            "terminationGracePeriodSeconds": 0,
        },
    }


def test_bytes_are_base64():
    secret = field(2, field(1, "k") + field(2, b"\0\xff"))
    assert protobuf.decode(body("v1", "Secret", secret))["data"] == {"k": "AP8="}


def test_delete_options_come_in_any_group():
    doc = protobuf.decode(body("apps/v1", "DeleteOptions", field(1, 0)))
    assert doc["gracePeriodSeconds"] == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"k8s",
        b"{}",
        body("v1", "Nothing", b""),
        body("network.ursa.dev/v1", "Vpc", b""),
        body("v1", "Pod", b"\x0a\xff"),
        body("v1", "Pod", field(1, 7)),
        body("v1", "ConfigMap", field(1, field(1, b"\xff"))),
        b"k8s\0" + b"\xff" * 20,
    ],
)
def test_what_is_no_such_body_is_a_bad_request(data):
    with pytest.raises(BadRequest):
        protobuf.decode(data)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(data):
    try:
        protobuf.decode(body("v1", "Pod", data))
    except BadRequest:
        return


async def test_a_typed_client_creates_by_protobuf_and_reads_json(api):
    data = field(1, field(1, "one")) + field(2, field(1, "a") + field(2, "b"))
    made = await api(
        "POST",
        "/api/v1/namespaces/default/configmaps",
        body("v1", "ConfigMap", data),
        content_type=protobuf.MEDIA_TYPE,
        accept=f"{protobuf.MEDIA_TYPE},application/json",
    )
    assert made.status == 201 and made.doc["data"] == {"a": "b"}
