"""Kubernetes' protobuf bodies. The builder writes protobuf by hand, so that both ends differ."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ursa.api import protobuf
from ursa.base.errors import BadRequest, UnsupportedMediaType
from ursa.kinds import schema
from ursa.kinds.definitions import definitions
from ursa.kinds.registry import RESOURCES

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
MESSAGES = protobuf._messages()
SERVED = [resource for resource in RESOURCES if resource.schema in MESSAGES]
# Properties that come by JSON alone: what a body's head says, and what Kubernetes has not.
NOT_IN_PROTOBUF = {"apiVersion", "kind", "tenant", "nics", "vpc", "nicStatuses"}
NOT_IN_PROTOBUF |= {"virtualMachine", "virtualMachineStatus"}


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


def encoded(message: str, doc: dict[str, Any]) -> bytes:
    """Write a document as gogo-proto does: a field for each value, none for what is absent."""
    out = b""
    for number, known in MESSAGES[message].items():
        inlined = {known.name: doc} if not known.name else doc
        if known.name not in inlined:
            continue
        value = inlined[known.name]
        if known.shape == "map":
            for key, item in value.items():
                out += field(number, field(1, key) + field(2, scalar(known.type, item)))
        else:
            for item in value if known.shape == "list" else [value]:
                out += field(number, scalar(known.type, item))
    return out


def scalar(type_: str, value: Any) -> bytes | str | int:
    match type_:
        case "string" | "int" | "bool":
            return value
        case "bytes":
            return base64.b64decode(value)
        case "time" | "micro_time":
            return field(1, TIMES[value][0]) + field(2, TIMES[value][1])
        case "quantity":
            return field(1, value)
        case "int_or_string" if isinstance(value, int):
            return field(1, 0) + field(2, value) + field(3, "")
        case "int_or_string":
            return field(1, 1) + field(2, 0) + field(3, value)
        case "raw":
            return field(1, json.dumps(value))
        case "items":
            return b"".join(field(1, item) for item in value)
    return encoded(type_, value)


TIMES = {
    "1969-12-31T23:59:59Z": (-1, 0),
    "2023-11-14T22:13:20Z": (1_700_000_000, 0),
    "2023-11-14T22:13:20.000000Z": (1_700_000_000, 0),
    "9999-12-31T23:59:59.999999Z": (253_402_300_799, 999_999_999),
}
TEXT = st.text(min_size=1, max_size=5)
INT32 = st.integers(-(2**31), 2**31 - 1)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "int": INT32.filter(bool),
    "bool": st.just(True),
    "bytes": st.binary(min_size=1, max_size=5).map(lambda data: base64.b64encode(data).decode()),
    "time": st.sampled_from([time for time in TIMES if "." not in time]),
    "micro_time": st.sampled_from([time for time in TIMES if "." in time]),
    "quantity": st.sampled_from(["100m", "1", "64Mi", "-3"]),
    "int_or_string": TEXT | INT32.filter(bool),
    "raw": st.dictionaries(TEXT, st.integers(0, 9), min_size=1, max_size=2),
    "items": st.lists(TEXT, max_size=2),
}


@st.composite
def documents(draw, message: str, depth: int = 0) -> dict[str, Any]:
    """Draw a document with some fields of a message; the deeper the fewer."""
    doc: dict[str, Any] = {}
    known = list(MESSAGES[message].values())
    for field_ in draw(st.lists(st.sampled_from(known), max_size=max(1, 4 - depth))):
        is_message = field_.type in MESSAGES
        one = documents(field_.type, depth + 1) if is_message else SCALARS[field_.type]
        if field_.shape == "list":
            one = st.lists(one, min_size=1, max_size=2)
        elif field_.shape == "map":
            one = st.dictionaries(TEXT, one, min_size=1, max_size=2)
        value = draw(one)
        doc |= {field_.name: value} if field_.name else value
    return doc


@given(st.sampled_from(SERVED), st.data())
def test_what_was_encoded_comes_back_and_is_what_the_schema_knows(resource, data):
    doc = data.draw(documents(resource.schema))
    head = {"apiVersion": resource.api_version, "kind": resource.kind}
    read = protobuf.decode(body(resource.api_version, resource.kind, encoded(resource.schema, doc)))
    assert read == head | doc
    assert schema.conform(resource, read) == []


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_has_the_fields_of_its_definition(message):
    published = definitions().get(message)
    if published is None:  # a part of another's definition, or a kind that nothing publishes
        return
    assert json_names(message) == set(published["properties"]) - NOT_IN_PROTOBUF


def json_names(message: str) -> set[str]:
    names: set[str] = set()
    for known in MESSAGES[message].values():
        names |= {known.name} if known.name else json_names(known.type)
    return names - NOT_IN_PROTOBUF


def test_every_kind_of_kubernetes_has_its_message():
    """If this fails for a kind just registered, run tools/protobuf.py."""
    kinds = {resource.schema for resource in RESOURCES if resource.schema.startswith("io.k8s.")}
    assert kinds | set(protobuf._EXTRA.values()) <= set(MESSAGES)


def test_no_message_contains_itself():
    def visit(message: str, above: tuple[str, ...]) -> None:
        assert message not in above
        for known in MESSAGES[message].values():
            if known.type in MESSAGES:
                visit(known.type, (*above, message))

    for resource in SERVED:
        visit(resource.schema, ())


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


def test_text_and_zeros_that_json_would_omit_are_absent_and_others_stay():
    port = field(1, "") + field(2, "TCP") + field(3, 80)
    port += field(4, field(1, 0) + field(2, 0) + field(3, "")) + field(5, 0)
    service = field(1, field(8, b"") + field(7, 0)) + field(2, field(1, port) + field(13, 0))
    doc = protobuf.decode(body("v1", "Service", service))
    assert doc["metadata"] == {}
    assert doc["spec"] == {"ports": [{"protocol": "TCP", "port": 80}]}
    deployment = field(2, field(1, 0) + field(5, 0))
    doc = protobuf.decode(body("apps/v1", "Deployment", deployment))
    assert doc["spec"] == {"replicas": 0}


def test_repeated_integers_may_be_packed():
    packed = field(4, varint(7) + varint(300)) + field(4, 5)
    doc = protobuf.decode(body("v1", "Pod", field(2, field(14, packed))))
    assert doc["spec"]["securityContext"] == {"supplementalGroups": [7, 300, 5]}


def test_unknown_fields_are_ignored():
    fixed = varint(900 << 3 | 1) + bytes(8) + varint(901 << 3 | 5) + bytes(4)
    data = field(902, "x") + fixed + field(903, 1) + field(1, field(1, "one"))
    assert protobuf.decode(body("v1", "ConfigMap", data))["metadata"] == {"name": "one"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"k8s",
        b"{}",
        b"k8s\0" + b"\xff" * 20,
        b"k8s\0" + field(1, 7),
        b"k8s\0" + field(2, 7),
        b"k8s\0" + field(1, field(1, 7)),
        body("v1", "Pod", b"\x0a\xff"),
        body("v1", "Pod", b"\x0b"),
        body("v1", "Pod", b"\x02\x00"),
        body("v1", "Pod", field(1, 7)),
        body("v1", "Pod", field(1, field(1, 7))),
        body("v1", "Pod", field(1, field(8, 7))),
        body("v1", "Pod", field(1, field(8, field(1, "text")))),
        body("v1", "Pod", field(1, field(8, field(1, 1 << 62)))),
        body("v1", "Pod", field(1, field(11, field(1, 7)))),
        body("v1", "Pod", field(1, field(17, field(7, field(1, "{"))))),
        body("v1", "Pod", field(1, field(17, field(7, field(1, "[" * 100_000))))),
        body("v1", "Pod", field(2, field(4, b"text"))),
        body("v1", "Pod", field(2, b"\x20" + b"\xff" * 9 + b"\x7f")),
        body("v1", "ConfigMap", field(1, field(1, b"\xff"))),
    ],
)
def test_what_is_no_such_body_is_a_bad_request(data):
    with pytest.raises(BadRequest, match="cannot be read as"):
        protobuf.decode(data)


@pytest.mark.parametrize(
    ("api_version", "kind"), [("v1", "Nothing"), ("network.ursa.dev/v1", "Vpc"), ("", "")]
)
def test_a_kind_without_a_protobuf_form_is_an_unsupported_media_type(api_version, kind):
    with pytest.raises(UnsupportedMediaType, match=f'kind "{kind}".*send application/json'):
        protobuf.decode(body(api_version, kind, b""))


WIRE = st.recursive(
    st.integers(0, 2**64 - 1) | st.binary(max_size=8) | TEXT,
    lambda inner: st.lists(st.tuples(st.integers(1, 20), inner), max_size=4).map(
        lambda pairs: b"".join(field(number, value) for number, value in pairs)
    ),
)


@given(st.sampled_from(SERVED), WIRE.filter(lambda data: isinstance(data, bytes)))
def test_no_wire_makes_it_fail_but_by_bad_request(resource, data):
    try:
        doc = protobuf.decode(body(resource.api_version, resource.kind, data))
        schema.conform(resource, doc)
    except BadRequest:
        return
    json.dumps(doc)


@given(documents("io.k8s.api.core.v1.Pod"), st.data())
def test_no_damage_makes_it_fail_but_by_bad_request(doc, data):
    whole = body("v1", "Pod", encoded("io.k8s.api.core.v1.Pod", doc))
    at = data.draw(st.integers(4, len(whole)))
    damaged = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + 1 :]
    for bytes_ in (whole[:at], damaged):
        try:
            protobuf.decode(bytes_)
        except (BadRequest, UnsupportedMediaType):
            continue


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
