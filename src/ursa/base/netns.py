"""Enter network namespaces. setns is per thread, so a call into one gets a thread of its own.

Only the network namespace is entered: `ip netns exec` would also mount another /sys, and
with it hide cgroups and bpffs.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter(path: str) -> None:
    """Move this thread into the network namespace at `path`. OSError names the path."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(descriptor)


def run_in(path: str, call: Callable[[], T]) -> T:
    """Return `call()` made inside the namespace at `path`, from a fresh thread. Blocking.

    What the call opens (a socket, a tap) stays in that namespace and may be used from any.
    """
    outcome: list[T] = []
    fault: list[BaseException] = []

    def body() -> None:
        try:
            enter(path)
            outcome.append(call())
        except BaseException as raised:  # handed to the caller's thread below
            fault.append(raised)

    thread = threading.Thread(target=body, name=f"netns {path}")
    thread.start()
    thread.join()
    if fault:
        raise fault[0]
    return outcome[0]
