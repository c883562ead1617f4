"""Names and counts of what the data plane dropped, and of the ways that frames took."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

from ursa.mizar.layout import DropReason, PathTaken
from ursa.mizar.maps import Map

DROPS, PATHS = "drops", "paths"  # pinned under these names


def read_drops(bpffs: Path) -> dict[str, int]:
    """Return the packets dropped by reason, of the node whose maps are pinned in `bpffs`.

    Names are those of lib/drop.h without DROP_, in lower case; reasons never met are there
    with 0. BpfError if the node has no data plane.
    """
    return counted(Map.pinned(bpffs / DROPS), DropReason)


def read_paths(bpffs: Path) -> dict[str, int]:
    """Return the frames by the way they took (lib/path.h)."""
    return counted(Map.pinned(bpffs / PATHS), PathTaken)


def counted(table: Map, names: type[IntEnum]) -> dict[str, int]:
    *reasons, _count = names  # the last is their number
    sums = table.percpu_sums(len(reasons))
    return {label(reason): packets for reason, packets in zip(reasons, sums, strict=True)}


def label(reason: IntEnum) -> str:
    """Return `spoofed_ip` for DROP_SPOOFED_IP."""
    return reason.name.partition("_")[2].lower()
