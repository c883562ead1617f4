"""A machine's root disk: a qcow2 overlay on a hard link to its image's disk.

The link stands beside the overlay, so removing or replacing the image harms no machine. Disks
are named by their image: the machine of another image gets another disk, and the same one
finds its disk again.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ursa.arktos.vmruntime.images import Image
from ursa.base.errors import ServiceUnavailable

NAME_LENGTH = 16  # hexadecimal digits of the image's digest in file names


async def make_disk(folder: Path, image: Image) -> Path:
    """Return the overlay in `folder` for a machine of `image`, made unless it is there."""
    name = image.id.removeprefix("sha256:")[:NAME_LENGTH]
    overlay = folder / f"{name}.qcow2"
    if overlay in _disks(folder):
        return overlay
    base = folder / f"{name}.base.qcow2"
    link(image.disk, base)
    part = folder / f"{name}.qcow2.part"
    await _create_overlay(part, base.name)
    os.replace(part, overlay)
    return overlay


def _disks(folder: Path) -> set[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return set(folder.glob("*.qcow2"))


def link(source: Path, target: Path) -> None:
    """Make `target` another name of `source`; idempotent."""
    if not target.exists():
        os.link(source, target)


async def _create_overlay(path: Path, base: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, path.name),
        cwd=path.parent,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await child.communicate()
    if child.returncode != 0:
        raise ServiceUnavailable(f"disk {path}: {said.decode(errors='replace').strip()}")
