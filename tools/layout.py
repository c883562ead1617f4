"""Write src/ursa/mizar/layout.py: what Python must know of the BPF programs' C types.

`tools/layout.py` writes it, `tools/layout.py --print` prints it. Structs of map keys and values
become struct.Struct, enums become IntEnum, constants of the headers that Python shares are read
by their #define. Types come from the objects' BTF (`bpftool btf dump`), so a change in C that
Python has not followed shows as a difference of the committed file, which a test refuses.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ursa.mizar.bpf.build import PROGRAMS, SOURCES, build_objects

TARGET = SOURCES.parent / "layout.py"
STRUCTS = (
    *("node", "peer", "attachment", "network_key", "network", "endpoint_key", "endpoint"),
    *("learned", "held"),
)
ENUMS = ("drop_reason", "path_taken")
DEFINES = (
    *("PEER_SELF", "PEERS_MAX", "ATTACHMENTS_MAX", "ATTACHMENT_TAP", "INTERFACE_MAX"),
    *("NETWORKS_MAX", "BOUNCERS_MAX", "VNI_BITS", "ENDPOINTS_MAX"),
    *("GENEVE_PORT", "OVERHEAD_BYTES"),
)
FORMATS = {1: "B", 2: "H", 4: "I", 8: "Q"}

Types = dict[int, dict[str, Any]]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        text = render(build_objects(Path(scratch)))
    if "--print" in sys.argv:
        sys.stdout.write(text)
    else:
        TARGET.write_text(text)


def render(objects: Path) -> str:
    """Return the text of layout.py for the objects in a directory."""
    found: dict[str, str] = {}
    for program in PROGRAMS:
        types = btf(objects / f"{program}.bpf.o")
        for kind in types.values():
            if kind["kind"] == "STRUCT" and kind["name"] in STRUCTS:
                found[kind["name"]] = struct_line(kind, types)
            if kind["kind"] == "ENUM" and kind["name"] in ENUMS:
                found[kind["name"]] = enum_lines(kind)
    return "\n".join(
        [
            '"""Generated from the BPF objects by tools/layout.py; do not edit."""\n',
            "import struct",
            "from enum import IntEnum\n",
            *(f"{name} = {value}" for name, value in defines().items()),
            "",
            *(found[name] for name in STRUCTS),
            *(f"\n\n{found[name]}" for name in ENUMS),
            "",
        ]
    )


def btf(path: Path) -> Types:
    command = ["bpftool", "btf", "dump", "file", str(path), "-j"]
    dump = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {kind["id"]: kind for kind in dump["types"]}


def struct_line(kind: dict[str, Any], types: Types) -> str:
    names, codes = [], []
    for member in kind["members"]:
        code = format_of(member["type_id"], types)
        if member["name"].startswith("pad"):
            codes.append(f"{struct_size(code)}x")
        else:
            codes.append(code)
            names.append(member["name"])
    packed = "=" + "".join(codes)
    if struct_size(packed) != kind["size"]:
        raise SystemExit(f"struct {kind['name']}: implicit padding; name it pad")
    return f'{kind["name"].upper()} = struct.Struct("{packed}")  # {", ".join(names)}'


def format_of(type_id: int, types: Types) -> str:
    """Return the struct code of a C type. Network order (__be*) and byte arrays are bytes."""
    kind = types[type_id]
    match kind["kind"]:
        case "TYPEDEF" if kind["name"].startswith("__be"):
            return f"{int(kind['name'][4:]) // 8}s"
        case "TYPEDEF" | "CONST" | "VOLATILE":
            return format_of(kind["type_id"], types)
        case "ARRAY":
            element, number = format_of(kind["type_id"], types), kind["nr_elems"]
            return f"{number}s" if element == "B" else element * number
        case "INT":
            return FORMATS[kind["size"]]
    raise SystemExit(f"no format for {kind['kind']} {kind.get('name')}")


def struct_size(code: str) -> int:
    import struct

    return struct.calcsize("=" + code.lstrip("="))


def enum_lines(kind: dict[str, Any]) -> str:
    title = "".join(word.title() for word in kind["name"].split("_"))
    rows = [f"    {value['name']} = {value['val']}" for value in kind["values"]]
    return "\n".join([f"class {title}(IntEnum):", *rows])


def defines() -> dict[str, int]:
    """Return the shared #defines. They are numbers, or shifts of numbers."""
    text = "\n".join(header.read_text() for header in sorted(SOURCES.glob("lib/*.h")))
    values = {}
    for name in DEFINES:
        match = re.search(rf"^#define\s+{name}\s+\(?(\d+)(?: << (\d+)\))?", text, re.MULTILINE)
        if match is None:
            raise SystemExit(f"#define {name}: not found, or no number")
        values[name] = int(match[1]) << int(match[2] or 0)
    return values


if __name__ == "__main__":
    main()
