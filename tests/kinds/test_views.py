"""Typed views against the schemas: no misspelt field, and nothing of a pod template lost."""

import importlib
import pkgutil

import msgspec
import msgspec.inspect as mi
import pytest

import ursa.kinds
from ursa.kinds.container import Container
from ursa.kinds.definitions import definitions
from ursa.kinds.part import VIEWS, Condition, ObjectMeta
from ursa.kinds.pod import Pod, PodSpec, PodTemplate, TemplateMeta, pod_from
from ursa.kinds.registry import find_kind
from ursa.kinds.volume import Volume, VolumeProjection

for found in pkgutil.iter_modules(ursa.kinds.__path__):
    importlib.import_module(f"ursa.kinds.{found.name}")

OWN_VIEWS = [cls for cls in VIEWS if cls.__module__.startswith("ursa.kinds.")]  # tests add more
POD_SPEC = "io.k8s.api.core.v1.PodSpec"
# Read by nobody here, and so not kept by views: what validation refuses, and Windows' own.
NOT_IN_VIEWS = {Volume, VolumeProjection}
# One view stands for the conditions of every kind, which differ in their times.
SHARED = {Condition}


def struct_fields(node):
    """Yield (field, type) of a struct, seen through optionals and tuples."""
    return {field.encode_name: field.type for field in node.fields}


def inner(node):
    match node:
        case mi.UnionType(types=types):
            structs = [t for t in types if isinstance(t, mi.StructType)]
            return structs[0] if structs else node
        case mi.VarTupleType(item_type=item):
            return inner(item)
    return node


def definition_of(schema):
    return schema.get("$ref") or schema.get("items", {}).get("$ref", "")


def pairs(node, definition, seen):
    """Yield each (view, definition) that meet when the same document is read by both."""
    if (node.cls, definition) in seen:
        return
    seen.add((node.cls, definition))
    yield node, definition
    properties = definitions()[definition].get("properties", {})
    for name, kind in struct_fields(node).items():
        below, schema = inner(kind), properties.get(name, {})
        if isinstance(below, mi.StructType) and definition_of(schema):
            yield from pairs(below, definition_of(schema), seen)


@pytest.mark.parametrize("cls", OWN_VIEWS, ids=lambda cls: cls.__name__)
def test_every_field_of_a_view_is_one_of_its_schema(cls):
    view = VIEWS[cls]
    resource = find_kind(view.group, view.version, view.kind)
    assert resource is not None
    assert (resource.plural, resource.scope) == (view.plural, view.scope)
    for node, definition in pairs(mi.type_info(cls), resource.schema, set()):
        if node.cls in SHARED:
            continue
        unknown = struct_fields(node).keys() - definitions()[definition]["properties"].keys()
        assert unknown == set(), f"{node.cls.__name__} against {definition}"


def test_the_view_of_a_pod_spec_keeps_every_field_of_its_schema():
    for node, definition in pairs(mi.type_info(PodSpec), POD_SPEC, set()):
        if node.cls not in NOT_IN_VIEWS:
            lost = definitions()[definition]["properties"].keys() - struct_fields(node).keys()
            assert lost == set(), f"{node.cls.__name__} against {definition}"


def test_a_pod_has_its_template_s_labels_and_spec_and_its_own_name():
    template = PodTemplate(
        metadata=TemplateMeta(labels={"app": "web"}, annotations={"a": "b"}),
        spec=PodSpec(containers=(Container(name="c", image="busybox"),)),
    )
    pod = pod_from(template, ObjectMeta(name="web-1", namespace="dev", tenant="acme"))
    assert pod.metadata.name == "web-1"
    assert (pod.metadata.labels, pod.metadata.annotations) == ({"app": "web"}, {"a": "b"})
    assert pod.spec is template.spec


def test_acronyms_are_written_as_kubernetes_writes_them():
    text = (
        b'{"metadata":{"name":"p"},"spec":{"hostPID":true,"nics":[{"portId":"x"}]},'
        b'"status":{"hostIP":"192.0.2.1","podIP":"10.0.0.5","podIPs":[{"ip":"10.0.0.5"}]}}'
    )
    pod = msgspec.json.decode(text, type=Pod)
    assert pod.spec.host_pid and pod.status.pod_ip == "10.0.0.5"
    assert msgspec.json.decode(msgspec.json.encode(pod)) == msgspec.json.decode(text)
