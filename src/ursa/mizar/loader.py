"""Load the compiled programs: tell them their node, verify, pin them and their maps.

All programs of a node share one set of maps by their pins: a map that is pinned already is
taken as it is, with its rows, so a fresh program goes on where the last one was. A program is
pinned under its own name in place of the last one.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import byref, c_size_t, c_void_p, create_string_buffer
from pathlib import Path

from ursa.mizar import libbpf
from ursa.mizar.bpf.build import PROGRAMS, BuildError, build_objects
from ursa.mizar.libbpf import BpfError, check, library

NODE_SECTION = b".rodata.node"
_LOG_BYTES = 1 << 20  # the verifier's account of a program of 1,000 instructions, with room
_LOG_TAIL_LINES = 12  # enough to see the instruction refused and why
_IS_INTERNAL = b"."  # first letter of .rodata and its like

__all__ = ["PROGRAMS", "BuildError", "build_objects", "load"]


def load(objects: Path, program: str, node: bytes, bpffs: Path) -> int:
    """Load `program` and pin it and its maps in `bpffs`; return its descriptor. Blocking, 20 ms.

    `node` is a packed layout.NODE. BpfError carries the end of the verifier's log.
    """
    path = objects / f"{program}.bpf.o"
    opened = library().bpf_object__open_file(str(path).encode(), None)
    if not opened:
        raise BpfError(ctypes.get_errno(), f"open {path}")
    handle = c_void_p(opened)
    try:
        _configure(handle, node, path)
        _share_maps(handle, bpffs)
        fd = _load(handle, program, bpffs)
        libbpf.pin(fd, str(bpffs / program))
        return os.dup(fd)  # the object closes its own
    finally:
        library().bpf_object__close(handle)


def _configure(handle: c_void_p, node: bytes, path: Path) -> None:
    """Write the node's constants before the verifier sees the program."""
    section = library().bpf_object__find_map_by_name(handle, NODE_SECTION)
    size = c_size_t()
    start = section and library().bpf_map__initial_value(c_void_p(section), byref(size))
    if not start or size.value != len(node):
        raise BpfError(
            22, f"{path}: section {NODE_SECTION.decode()}", f"it is no struct of {len(node)} bytes"
        )
    ctypes.memmove(start, node, len(node))


def _share_maps(handle: c_void_p, bpffs: Path) -> None:
    table = library().bpf_object__next_map(handle, None)
    while table:
        name = library().bpf_map__name(c_void_p(table))
        if _IS_INTERNAL not in name:
            target = os.fsencode(bpffs / os.fsdecode(name))
            result = library().bpf_map__set_pin_path(c_void_p(table), target)
            check(result, f"share map {os.fsdecode(name)}")
        table = library().bpf_object__next_map(handle, c_void_p(table))


def _load(handle: c_void_p, program: str, bpffs: Path) -> int:
    found = library().bpf_object__find_program_by_name(handle, program.encode())
    if not found:
        raise BpfError(2, f"program {program}")
    verifier_log = create_string_buffer(_LOG_BYTES)
    library().bpf_program__set_log_buf(c_void_p(found), verifier_log, c_size_t(_LOG_BYTES))
    result = library().bpf_object__load(handle)
    check(result, f"load program {program}", _explanation(verifier_log.value, bpffs))
    return check(library().bpf_program__fd(c_void_p(found)), f"program {program}")


def _explanation(verifier_log: bytes, bpffs: Path) -> str:
    if not verifier_log:
        return f"no word of the verifier: {bpffs} is no bpffs, or its maps have another layout"
    lines = verifier_log.decode(errors="replace").splitlines()
    return "\n".join(["the verifier says:", *lines[-_LOG_TAIL_LINES:]])
