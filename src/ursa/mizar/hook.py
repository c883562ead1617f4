"""Put programs on the TC ingress hook of an interface, and take them off.

clsact with one cls_bpf filter: attaching takes 0.1 ms, where a tcx link waits 8–16 ms for an
RCU grace period. Replacing a filter is atomic; it holds its program with every process dead.
Works in the network namespace of the calling thread. Blocking.
"""

from __future__ import annotations

import ctypes
import errno
from ctypes import byref

from ursa.mizar.libbpf import TcHook, TcOptions, check, library

_INGRESS = 1  # enum bpf_tc_attach_point
_REPLACE = 1  # BPF_TC_F_REPLACE
_HANDLE = _PRIORITY = 1


def attach(ifindex: int, program_fd: int) -> None:
    """Make a program the ingress filter of an interface, in place of our last one, if any."""
    hook = _hook(ifindex)
    result = library().bpf_tc_hook_create(byref(hook))
    if result != -errno.EEXIST:
        check(result, f"make the TC hook of interface {ifindex}")
    options = _options(prog_fd=program_fd, flags=_REPLACE)
    result = library().bpf_tc_attach(byref(hook), byref(options))
    check(result, f"attach to interface {ifindex}")


def detach(ifindex: int) -> None:
    """Remove our ingress filter; nothing to do if it, or the interface, is not there."""
    hook = _hook(ifindex)
    result = library().bpf_tc_detach(byref(hook), byref(_options()))
    if -result not in (errno.ENOENT, errno.ENODEV, errno.EINVAL):  # EINVAL: no clsact there
        check(result, f"detach from interface {ifindex}")


def attached(ifindex: int) -> int:
    """Return the id of the program that is our ingress filter, 0 if there is none."""
    hook, options = _hook(ifindex), _options()
    result = library().bpf_tc_query(byref(hook), byref(options))
    return 0 if result < 0 else int(options.prog_id)


def _hook(ifindex: int) -> TcHook:
    return TcHook(sz=ctypes.sizeof(TcHook), ifindex=ifindex, attach_point=_INGRESS)


def _options(prog_fd: int = 0, flags: int = 0) -> TcOptions:
    size = ctypes.sizeof(TcOptions)
    return TcOptions(sz=size, prog_fd=prog_fd, flags=flags, handle=_HANDLE, priority=_PRIORITY)
