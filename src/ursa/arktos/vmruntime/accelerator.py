"""Find out whether KVM works here by booting a real guest with it.

/dev/kvm may be there and still hang any ordinary kernel (PVM hosts), and only a guest tells.
The guest is the kernel of the image marked `probe`, which says one line and powers off. The
answer holds until the host boots again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec

from ursa.arktos.vmruntime.command import ACCELERATION, MACHINE, QEMU, Accelerator
from ursa.arktos.vmruntime.images import Image, Images

log = logging.getLogger(__name__)

KVM = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROBE_TIMEOUT_S = 2.0  # with KVM the guest speaks after 0.3 s
PROBE_MEMORY_MIB = 128
PROBE_SAYS = b"ursa: probe: guest runs"


class Answer(msgspec.Struct, frozen=True):
    boot_id: str
    accelerator: Accelerator


async def choose(images: Images, memory: Path) -> Accelerator:
    """Return the accelerator of this host; `memory` keeps the answer until the next boot."""
    if not os.access(KVM, os.R_OK | os.W_OK):
        return Accelerator.TCG
    known = _remembered(memory)
    if known is not None:
        return known
    image = next((image for image in images.held() if image.file.probe), None)
    if image is None:  # nothing to probe with: the safe answer, not remembered
        log.warning("KVM not probed: no image on this node is marked for it")
        return Accelerator.TCG
    works = await probe(image)
    accelerator = Accelerator.KVM if works else Accelerator.TCG
    log.info("accelerator chosen", extra={"accelerator": accelerator})
    _remember(memory, accelerator)
    return accelerator


def _remembered(memory: Path) -> Accelerator | None:
    try:
        answer = msgspec.json.decode(memory.read_bytes(), type=Answer)
    except (OSError, msgspec.DecodeError):
        return None
    return answer.accelerator if answer.boot_id == _boot_id() else None


def _remember(memory: Path, accelerator: Accelerator) -> None:
    part = memory.with_name(f"{memory.name}.part")
    part.write_bytes(msgspec.json.encode(Answer(_boot_id(), accelerator)))
    part.replace(memory)


def _boot_id() -> str:
    return BOOT_ID.read_text().strip()


async def probe(image: Image, accelerator: Accelerator = Accelerator.KVM) -> bool:
    """Return whether the image's kernel boots within the bound; leaves no process."""
    child = await asyncio.create_subprocess_exec(
        *(QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-machine", MACHINE),
        *(*ACCELERATION[accelerator], "-m", str(PROBE_MEMORY_MIB), "-serial", "stdio"),
        *("-kernel", str(image.folder / image.file.kernel)),
        *("-initrd", str(image.folder / image.file.initrd)),
        *("-append", f"{image.file.append} ursa.probe"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await child.stdout.readuntil(PROBE_SAYS)
            return True
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return False
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
