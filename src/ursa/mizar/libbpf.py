"""libbpf and the kernel's bpf(2), through ctypes: the few calls that the data plane needs.

A wrapper returns what the call is for and raises BpfError in the kernel's words with what was
asked; nothing else of this package sees a return code. Calls release the interpreter lock.
Source: libbpf 1.1, bpf.h and libbpf.h; Linux include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache
from typing import NamedTuple

_LIBRARY = "libbpf.so.1"


class BpfError(Exception):
    """The kernel or libbpf refused; `code` is the errno."""

    def __init__(self, code: int, what: str, detail: str = "") -> None:
        super().__init__(f"{what}: {os.strerror(code)}{detail and f': {detail}'}")
        self.code = code


@cache
def library() -> ctypes.CDLL:
    """Return libbpf, silenced. BpfError says which package brings it."""
    try:
        loaded = ctypes.CDLL(_LIBRARY, use_errno=True)
    except OSError as fault:
        raise BpfError(
            errno.ENOENT, _LIBRARY, "run 'apt-get install libbpf1' (Debian 12 or newer)"
        ) from fault
    for name in (
        *("bpf_object__open_file", "bpf_object__next_map", "bpf_object__find_map_by_name"),
        *("bpf_object__find_program_by_name", "bpf_map__initial_value"),
    ):
        getattr(loaded, name).restype = c_void_p
    loaded.bpf_map__name.restype = c_char_p
    loaded.libbpf_set_print(None)  # its own account goes to stderr; ours is in the exception
    return loaded


def check(result: int, what: str, detail: str = "") -> int:
    """Return a call's result, or raise what it stands for: libbpf 1 answers with -errno."""
    if result < 0:
        raise BpfError(-result, what, detail)
    return result


def get_pinned(path: str) -> int:
    """Return a descriptor of the map or program pinned at `path`."""
    return check(library().bpf_obj_get(path.encode()), f"open {path}")


def pin(fd: int, path: str) -> None:
    """Pin at `path`, in place of whatever is pinned there."""
    fresh = f"{path}_new"  # bpffs keeps names with dots for itself
    _unlink(fresh)
    check(library().bpf_obj_pin(fd, fresh.encode()), f"pin {path}")
    os.rename(fresh, path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


class MapInfo(NamedTuple):
    type: int
    key_bytes: int
    value_bytes: int
    entries_max: int


class _MapInfo(ctypes.Structure):
    """The head of struct bpf_map_info; the kernel fills as much as it is asked for."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
    )


def map_info(fd: int) -> MapInfo:
    info = _MapInfo()
    length = c_uint32(ctypes.sizeof(info))
    check(library().bpf_obj_get_info_by_fd(fd, byref(info), byref(length)), "read map info")
    return MapInfo(info.type, info.key_size, info.value_size, info.max_entries)


class TcHook(ctypes.Structure):
    """struct bpf_tc_hook."""

    _fields_ = (
        ("sz", c_size_t),
        ("ifindex", c_int),
        ("attach_point", c_int),
        ("parent", c_uint32),
    )


class TcOptions(ctypes.Structure):
    """struct bpf_tc_opts."""

    _fields_ = (
        ("sz", c_size_t),
        ("prog_fd", c_int),
        ("flags", c_uint32),
        ("prog_id", c_uint32),
        ("handle", c_uint32),
        ("priority", c_uint32),
    )


class TestRunOptions(ctypes.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = (
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


class TestRun(NamedTuple):
    verdict: int
    frame: bytes
    duration_ns: int
    """Mean of the runs."""


FRAME_ROOM_BYTES = 1 << 16


def test_run(program_fd: int, frame: bytes, *, repeat: int = 1) -> TestRun:
    """Run a program on one frame in the kernel and return what it did to it."""
    out = ctypes.create_string_buffer(FRAME_ROOM_BYTES)
    options = TestRunOptions(
        sz=ctypes.sizeof(TestRunOptions),
        data_in=ctypes.cast(ctypes.c_char_p(frame), c_void_p),
        data_out=ctypes.cast(out, c_void_p),
        data_size_in=len(frame),
        data_size_out=len(out),
        repeat=repeat,
    )
    check(library().bpf_prog_test_run_opts(program_fd, byref(options)), "test-run")
    verdict = ctypes.c_int32(options.retval).value
    return TestRun(verdict, out.raw[: options.data_size_out], options.duration)
