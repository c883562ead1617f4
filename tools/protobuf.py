"""Regenerates src/ursa/api/protobuf.json.gz: `.venv/bin/python tools/protobuf.py API MACHINERY`.

API and MACHINERY are checkouts of github.com/kubernetes/api and .../apimachinery at the tag of
RELEASE. Of every message that a served kind reaches it takes the facts that a decoder needs:
field numbers, JSON names, types, and whether a zero value is left out of JSON. They stand in
the tags of Go's structs.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from ursa.kinds.registry import RESOURCES

RELEASE = "v0.32.0"
TARGET = Path(__file__).parents[1] / "src/ursa/api/protobuf.json.gz"
META = "io.k8s.apimachinery.pkg.apis.meta.v1"
EXTRA_ROOTS = (
    f"{META}.DeleteOptions",
    "io.k8s.api.core.v1.Binding",
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.policy.v1.Eviction",
)
# Messages that JSON shows as something else: api/protobuf.py knows them by these names.
SPECIAL = {
    f"{META}.Time": "time",
    f"{META}.MicroTime": "micro_time",
    f"{META}.FieldsV1": "raw",
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int_or_string",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "raw",
}
SCALARS = {"string": "string", "bool": "bool", "int32": "int", "int64": "int", "int": "int"}
SCALARS |= {"uint8": "int", "[]byte": "bytes", "byte": "int"}

_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
_ALIAS = re.compile(r"^type (\w+) ([\w\[\].*]+)$", re.M)
_FIELD = re.compile(r"^\t(?:(\w+) )?\s*([\w\[\]*.]+)\s+`([^`]*)`", re.M)
_IMPORT = re.compile(r'^\t(?:(\w+) )?"(k8s\.io/[\w./]+)"', re.M)
_TAG = re.compile(r'(\w+):"([^"]*)"')


class Package:
    def __init__(self, folder: Path, name: str) -> None:
        text = "\n".join(file.read_text() for file in sorted(folder.glob("*.go")))
        self.name = name
        self.structs = dict(_STRUCT.findall(text))
        self.aliases = dict(_ALIAS.findall(text))
        self.imports = {
            alias or path.rpartition("/")[2]: package_name(path)
            for alias, path in _IMPORT.findall(text)
        }


def package_name(path: str) -> str:
    """`k8s.io/api/core/v1` → `io.k8s.api.core.v1`, as OpenAPI has it."""
    return "io.k8s." + path.removeprefix("k8s.io/").replace("/", ".")


class Reader:
    def __init__(self, api: Path, machinery: Path) -> None:
        self._roots = {"io.k8s.api.": api, "io.k8s.apimachinery.": machinery}
        self._packages: dict[str, Package] = {}
        self.messages: dict[str, list[list[object]]] = {}

    def package(self, name: str) -> Package:
        if name not in self._packages:
            prefix = next(p for p in self._roots if name.startswith(p))
            folder = self._roots[prefix] / name.removeprefix(prefix).replace(".", "/")
            self._packages[name] = Package(folder, name)
        return self._packages[name]

    def read(self, message: str) -> None:
        """Add a message and all that it reaches."""
        if message in self.messages:
            return
        name, _, struct = message.rpartition(".")
        package = self.package(name)
        fields: list[list[object]] = []
        self.messages[message] = fields
        for _, go_type, tags in _FIELD.findall(package.structs[struct]):
            tag = dict(_TAG.findall(tags))
            if "protobuf" not in tag:
                continue
            number = int(tag["protobuf"].split(",")[1])
            json_name, *options = tag["json"].split(",")
            shape, kind = self.type_of(package, go_type)
            omits = "omitempty" in options and not go_type.startswith("*")
            fields.append([number, json_name, shape, kind, int(omits)])

    def type_of(self, package: Package, go_type: str) -> tuple[str, str]:
        """Return (one, list or map; the type of a value)."""
        go_type = go_type.lstrip("*")
        if go_type in SCALARS:
            return "one", SCALARS[go_type]
        if go_type.startswith("[]"):
            return "list", self.type_of(package, go_type[2:])[1]
        if match := re.fullmatch(r"map\[[\w.]+\](.+)", go_type):
            return "map", self.type_of(package, match[1])[1]
        alias, _, name = go_type.rpartition(".")
        home = self.package(package.imports[alias]) if alias else package
        full = f"{home.name}.{name}"
        if full in SPECIAL:
            return "one", SPECIAL[full]
        if name in home.structs:
            self.read(full)
            return "one", full
        base = home.aliases[name]
        if base.startswith("[]"):  # a message of its own with one repeated field
            return "one", "items"
        return self.type_of(home, base)


def main() -> None:
    reader = Reader(Path(sys.argv[1]), Path(sys.argv[2]))
    for root in (*(r.schema for r in RESOURCES if r.schema.startswith("io.k8s.")), *EXTRA_ROOTS):
        reader.read(root)
    text = json.dumps(reader.messages, sort_keys=True, separators=(",", ":"))
    TARGET.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{len(reader.messages)} messages, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
