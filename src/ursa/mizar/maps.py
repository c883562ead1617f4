"""BPF maps as tables of bytes: one row, many rows, all rows.

Bulk calls are the kernel's batches (1.3 million rows a second, a row at a time a tenth of it).
Keys and values are packed with the structs of layout.py. Blocking.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from ctypes import byref, c_uint32, create_string_buffer
from functools import cache
from pathlib import Path

from ursa.mizar import libbpf
from ursa.mizar.libbpf import check, library

_ARRAY, _PERCPU_ARRAY = 2, 6  # enum bpf_map_type
_BATCH_ROWS = 4096
_POSSIBLE_CPUS = Path("/sys/devices/system/cpu/possible")


class Map:
    """One map by its descriptor, which lives as long as the object."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self.info = libbpf.map_info(fd)

    @classmethod
    def pinned(cls, path: Path) -> Map:
        """Return the map pinned at `path`. BpfError if there is none."""
        return cls(libbpf.get_pinned(str(path)), path.name)

    @property
    def is_array(self) -> bool:
        return self.info.type in (_ARRAY, _PERCPU_ARRAY)

    def get(self, key: bytes) -> bytes | None:
        value = create_string_buffer(self.info.value_bytes)
        result = library().bpf_map_lookup_elem(self.fd, self._sized(key), value)
        if result == -errno.ENOENT:
            return None
        check(result, f"read map {self.name}")
        return value.raw

    def put(self, rows: Mapping[bytes, bytes]) -> None:
        """Write rows. BpfError if the map is full; some of the rows may be written then."""
        pairs = list(rows.items())
        for start in range(0, len(pairs), _BATCH_ROWS):
            batch = pairs[start : start + _BATCH_ROWS]
            keys = b"".join(self._sized(key) for key, _ in batch)
            values = b"".join(value for _, value in batch)
            assert len(values) == len(batch) * self.info.value_bytes, f"values of {self.name}"
            count = c_uint32(len(batch))
            result = library().bpf_map_update_batch(self.fd, keys, values, byref(count), None)
            full = f"it holds {self.info.entries_max} rows at most"
            check(result, f"write map {self.name}", full if result == -errno.E2BIG else "")

    def delete(self, keys: Iterable[bytes]) -> None:
        """Delete rows; missing ones are no fault. An array's row becomes zero."""
        if self.is_array:
            self.put(dict.fromkeys(keys, bytes(self.info.value_bytes)))
            return
        waiting: Sequence[bytes] = list(keys)
        while waiting:
            batch = waiting[:_BATCH_ROWS]
            count = c_uint32(len(batch))
            packed = b"".join(self._sized(key) for key in batch)
            result = library().bpf_map_delete_batch(self.fd, packed, byref(count), None)
            if result == -errno.ENOENT:
                waiting = waiting[count.value + 1 :]  # the kernel stops at a missing one
                continue
            check(result, f"delete from map {self.name}")
            waiting = waiting[len(batch) :]

    def rows(self) -> dict[bytes, bytes]:
        """Return all rows. What changes meanwhile may or may not be among them."""
        key_bytes, value_bytes = self.info.key_bytes, self.info.value_bytes
        keys = create_string_buffer(_BATCH_ROWS * key_bytes)
        values = create_string_buffer(_BATCH_ROWS * value_bytes)
        cursor = create_string_buffer(max(key_bytes, ctypes.sizeof(c_uint32)))
        found: dict[bytes, bytes] = {}
        start = None
        while True:
            count = c_uint32(_BATCH_ROWS)
            result = library().bpf_map_lookup_batch(
                self.fd, start, cursor, keys, values, byref(count), None
            )
            if result not in (0, -errno.ENOENT):  # ENOENT: these are the last
                check(result, f"read map {self.name}")
            raw_keys, raw_values = keys.raw, values.raw
            for i in range(count.value):
                key = raw_keys[i * key_bytes : (i + 1) * key_bytes]
                found[key] = raw_values[i * value_bytes : (i + 1) * value_bytes]
            if result != 0:
                return found
            start = cursor

    def percpu_sums(self, entries: int) -> list[int]:
        """Return the first `entries` counters of a per-CPU array of 64-bit numbers."""
        assert self.info.value_bytes == 8, f"map {self.name} holds no 64-bit counters"
        values = (ctypes.c_uint64 * possible_cpus())()
        sums = []
        for index in range(entries):
            key = index.to_bytes(4, "little")
            result = library().bpf_map_lookup_elem(self.fd, key, byref(values))
            check(result, f"read map {self.name}")
            sums.append(sum(values))
        return sums

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        self.close()

    def _sized(self, key: bytes) -> bytes:
        # The kernel reads as many bytes as the map says, whatever is there.
        assert len(key) == self.info.key_bytes, f"key of {self.name}: {len(key)} bytes"
        return key


@cache
def possible_cpus() -> int:
    """Return the number of values that a per-CPU row has."""
    last = _POSSIBLE_CPUS.read_text().strip().replace(",", "-").split("-")[-1]
    return int(last) + 1
