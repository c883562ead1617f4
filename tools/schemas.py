"""Regenerates src/ursa/kinds/schemas.json.gz: `.venv/bin/python tools/schemas.py`.

Takes from the published Kubernetes definitions (dev dependency kubernetes-validate) what the
served kinds reach, adds the fields that tenants and virtual machines bring, and derives the
definitions of our own kinds from their typed views: types from the struct, descriptions from
the docstrings below the fields. The result is the same bytes for the same input.
"""

from __future__ import annotations

import ast
import gzip
import inspect
import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec.inspect as mi

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from ursa.kinds import part, port, subnet, tenant, vm, vpc
from ursa.kinds.container import ResourceRequirements, VolumeDevice, VolumeMount
from ursa.kinds.registry import RESOURCES

Definition = dict[str, Any]

RELEASE = "1.32.0"
SOURCE = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
TARGET = Path(__file__).parents[1] / "src/ursa/kinds/schemas.json.gz"

CORE, META = "io.k8s.api.core.v1", "io.k8s.apimachinery.pkg.apis.meta.v1"
OUR_CORE, OUR_NETWORK = "dev.ursa.core.v1", "dev.ursa.network.v1"

# Bodies and answers that are no served kind.
EXTRA_ROOTS = (
    f"{META}.Status",
    f"{META}.DeleteOptions",
    f"{META}.Patch",
    f"{CORE}.Binding",
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.autoscaling.v1.Scale",
)
KNOWN: dict[type[Any], str] = {
    part.ObjectMeta: f"{META}.ObjectMeta",
    part.Condition: f"{META}.Condition",
    ResourceRequirements: f"{CORE}.ResourceRequirements",
    VolumeMount: f"{CORE}.VolumeMount",
    VolumeDevice: f"{CORE}.VolumeDevice",
}
OURS: dict[type[Any], str] = {
    cls: f"{package}.{cls.__name__}"
    for package, module in ((OUR_CORE, tenant), (OUR_CORE, vm), (OUR_NETWORK, vpc))
    for cls in vars(module).values()
    if isinstance(cls, type) and cls.__module__ == module.__name__
} | {
    cls: f"{OUR_NETWORK}.{cls.__name__}"
    for module in (subnet, port)
    for cls in vars(module).values()
    if isinstance(cls, type) and cls.__module__ == module.__name__
}
REQUIRED: dict[type[Any], list[str]] = {
    vm.VirtualMachine: ["name"],
    vm.VirtualMachineStatus: ["name", "ready", "restartCount"],
    vpc.VpcSpec: ["cidr"],
    subnet.SubnetSpec: ["cidr", "vpc"],
    port.PortSpec: ["device"],
}
TENANT_FIELD = {"type": "string", "description": "Tenant of the object; empty: the request's."}
BY_NAME = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "x-kubernetes-patch-merge-key": "name",
    "x-kubernetes-patch-strategy": "merge",
}


def main() -> None:
    published = json.loads((SOURCE / f"v{RELEASE}-local" / "_definitions.json").read_bytes())
    known = {name: tidy(text) for name, text in published["$defs"].items()}
    extend(known)
    known |= {name: definition_of(cls) for cls, name in OURS.items()}
    for resource in RESOURCES:
        if not resource.is_virtual:
            known[f"{resource.schema}List"] = list_of(resource.schema, known)
            name_kind(known[resource.schema], resource.group, resource.version, resource.kind)
    kept = reachable(known, roots())
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    TARGET.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    print(f"{TARGET.name}: {len(kept)} definitions, {TARGET.stat().st_size} bytes")


def roots() -> Iterator[str]:
    yield from EXTRA_ROOTS
    for resource in RESOURCES:
        yield resource.schema
        if not resource.is_virtual:
            yield f"{resource.schema}List"


def tidy(node: Any) -> Any:
    """Return the definition as Kubernetes publishes it: no null types, references by name."""
    if isinstance(node, list):
        return [tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidied = {key: tidy(value) for key, value in node.items()}
    if isinstance(tidied.get("type"), list):
        tidied["type"] = tidied["type"][0]
    if isinstance(tidied.get("$ref"), str):
        tidied["$ref"] = tidied["$ref"].rpartition("/")[2]
    for name in ("apiVersion", "kind"):  # the package narrows them; Kubernetes does not
        if isinstance(tidied.get(name), dict):
            tidied[name].pop("enum", None)
    return tidied


def extend(known: dict[str, Definition]) -> None:
    """Add what Kubernetes' own definitions hold more here: tenants, machines, interfaces."""
    for name in (
        f"{META}.ObjectMeta",
        f"{CORE}.ObjectReference",
        "io.k8s.api.rbac.v1.Subject",
        "io.k8s.api.authentication.v1.UserInfo",
        "io.k8s.api.authorization.v1.ResourceAttributes",
    ):
        known[name]["properties"]["tenant"] = TENANT_FIELD
    spec, status = known[f"{CORE}.PodSpec"], known[f"{CORE}.PodStatus"]
    spec["required"] = []  # containers, or a virtual machine
    spec["properties"] |= {
        "virtualMachine": {
            "$ref": f"{OUR_CORE}.VirtualMachine",
            "description": "The machine that this pod is, in place of containers.",
        },
        "nics": {
            "type": "array",
            "items": {"$ref": f"{OUR_CORE}.Nic"},
            "description": "Network interfaces; none: one, eth0.",
            **BY_NAME,
        },
        "vpc": {"type": "string", "description": "A Vpc of the tenant; empty: `default`."},
    }
    status["properties"] |= {
        "virtualMachineStatus": {
            "$ref": f"{OUR_CORE}.VirtualMachineStatus",
            "description": "What the pod's virtual machine does.",
        },
        "nicStatuses": {
            "type": "array",
            "items": {"$ref": f"{OUR_CORE}.NicStatus"},
            "description": "What became of each network interface.",
            **BY_NAME,
        },
    }


def definition_of(cls: type[part.Part]) -> Definition:
    """Return the definition that a typed view stands for."""
    info = mi.type_info(cls)
    assert isinstance(info, mi.StructType)
    documented = field_docs(cls)
    properties = {}
    for field in info.fields:
        properties[field.encode_name] = schema_of(field.type)
        if text := documented.get(field.name):
            properties[field.encode_name]["description"] = text
        if field.encode_name == "conditions":
            properties[field.encode_name] |= {
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "x-kubernetes-patch-merge-key": "type",
                "x-kubernetes-patch-strategy": "merge",
            }
    definition: Definition = {"type": "object", "properties": properties}
    if "metadata" in properties:
        properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
        module = inspect.getmodule(cls)
        definition["description"] = inspect.getdoc(module)
    elif cls.__doc__:
        definition["description"] = inspect.cleandoc(cls.__doc__)
    if cls in REQUIRED:
        definition["required"] = REQUIRED[cls]
    return definition


def schema_of(node: mi.Type) -> Definition:
    match node:
        case mi.StrType():
            return {"type": "string"}
        case mi.BoolType():
            return {"type": "boolean"}
        case mi.IntType():
            return {"type": "integer", "format": "int64"}
        case mi.StructType(cls=cls):
            return {"$ref": OURS.get(cls) or KNOWN[cls]}
        case mi.VarTupleType(item_type=item):
            return {"type": "array", "items": schema_of(item)}
        case mi.UnionType(types=types):
            (only,) = (kind for kind in types if not isinstance(kind, mi.NoneType))
            return schema_of(only)
    raise TypeError(f"no schema for {node}")


def field_docs(cls: type) -> dict[str, str]:
    """Return the string below each field, on one line."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(cls)).body)  # type: ignore[attr-defined]
    documented = {}
    for field, below in pairwise(body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                documented[name] = " ".join(text.split())
    return documented


def list_of(schema: str, known: dict[str, Definition]) -> Definition:
    if f"{schema}List" in known:
        return known[f"{schema}List"]
    return {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": f"{META}.ListMeta"},
            "items": {"type": "array", "items": {"$ref": schema}},
        },
    }


def name_kind(definition: Definition, group: str, version: str, kind: str) -> None:
    gvk = {"group": group, "version": version, "kind": kind}
    definition["x-kubernetes-group-version-kind"] = [gvk]


def reachable(known: dict[str, Definition], roots: Iterator[str]) -> dict[str, Definition]:
    kept: dict[str, Definition] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept[name] = known[name]
            waiting.extend(references(known[name]))
    return kept


def references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)


if __name__ == "__main__":
    main()
