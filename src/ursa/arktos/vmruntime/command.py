"""QEMU's command line: a machine is a function of its record, nothing else.

The machine type is pinned and every device has its slot, so a machine that starts again is
the same hardware. Guests see: disk vda (root), vdb (NoCloud, read-only), one NIC, a serial
console, a source of randomness and a panic device.
Source: QEMU 7.2, qemu-system-x86_64(1); docs/system/i386/pc.rst.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ursa.arktos.vmruntime.limits import TB_SIZE_MIB
from ursa.arktos.vmruntime.records import MachineRecord, Nic

QEMU = "qemu-system-x86_64"
MACHINE = "pc-q35-7.2"
# A user of its own for each machine; the range is far from any that a host gives to people.
UID_FIRST = 1_800_000_000
UID_COUNT = 100_000_000
# setuid and exec are pointless or harmful for a machine; `-runas` needs the first once, so
# elevateprivileges stays allowed and the user has no privileges to elevate.
SANDBOX = "on,obsolete=deny,spawn=deny,resourcecontrol=deny"
# A guest that powers off or panics is paused: it waits to be asked, however long this
# runtime is away, and is then ended.
ACTIONS = "shutdown=pause,panic=pause,reboot=reset"

# SeaBIOS says on the first serial line (port 0x3f8, little-endian) what it boots, or cannot.
FIRMWARE_TO_CONSOLE = ("-fw_cfg", "name=etc/sercon-port,string=\udcf8\x03")


class Accelerator(StrEnum):
    KVM = "kvm"
    TCG = "tcg"


ACCELERATION = {
    Accelerator.KVM: ("-accel", "kvm", "-cpu", "host"),
    Accelerator.TCG: ("-accel", f"tcg,tb-size={TB_SIZE_MIB}", "-cpu", "qemu64"),
}


@dataclass(frozen=True, slots=True)
class Files:
    """What of a machine lies outside its record."""

    seed: Path  # NoCloud disk
    console: Path  # QEMU appends all console output
    words: Path  # what QEMU itself says
    qmp: Path  # socket; at most SOCKET_PATH_MAX bytes


def command(
    machine: MachineRecord, files: Files, nic: Nic | None, tap_fd: int, accelerator: Accelerator
) -> list[str]:
    """Return the arguments of QEMU; `tap_fd` is inherited and meaningless without a NIC."""
    memory_mib = machine.memory_bytes >> 20
    return [
        *(QEMU, "-nodefaults", "-no-user-config", "-display", "none"),
        *("-name", f"guest={machine.id}", "-machine", MACHINE, *ACCELERATION[accelerator]),
        *("-m", str(memory_mib), "-smp", str(machine.vcpus), "-action", ACTIONS),
        *("-sandbox", SANDBOX, "-runas", f"{uid(machine.id)}:{uid(machine.id)}"),
        *("-chardev", f"socket,id=qmp,path={_escaped(files.qmp)},server=on,wait=off"),
        *("-mon", "chardev=qmp,mode=control"),
        *("-chardev", f"null,id=console,logfile={_escaped(files.console)},logappend=on"),
        *("-serial", "chardev:console", *_boot(machine), *_disks(machine, files)),
        *(_network(nic, tap_fd) if nic else ()),
        *("-object", "rng-random,id=rng,filename=/dev/urandom"),
        *("-device", "virtio-rng-pci,rng=rng,addr=5", "-device", "pvpanic-pci,addr=6"),
    ]


def uid(machine_id: str) -> int:
    """Return the user that the machine's QEMU runs as: one of many, by the machine's id."""
    return UID_FIRST + zlib.crc32(machine_id.encode()) % UID_COUNT


def _boot(machine: MachineRecord) -> tuple[str, ...]:
    if not machine.kernel:
        return FIRMWARE_TO_CONSOLE
    initrd = ("-initrd", machine.initrd) if machine.initrd else ()
    return ("-kernel", machine.kernel, *initrd, "-append", machine.append)


def _disks(machine: MachineRecord, files: Files) -> tuple[str, ...]:
    root = f"driver=qcow2,node-name=root,discard=unmap,{_file(Path(machine.disk))}"
    seed = f"driver=raw,node-name=seed,read-only=on,{_file(files.seed)}"
    return (
        *("-blockdev", root, "-device", "virtio-blk-pci,drive=root,bootindex=1,addr=2"),
        *("-blockdev", seed, "-device", "virtio-blk-pci,drive=seed,addr=3"),
    )


def _network(nic: Nic, tap_fd: int) -> tuple[str, ...]:
    # No option ROM: nothing boots from this network.
    device = f"virtio-net-pci,netdev=nic,mac={nic.mac},host_mtu={nic.mtu_bytes},romfile=,addr=4"
    return ("-netdev", f"tap,id=nic,fd={tap_fd}", "-device", device)


def _file(path: Path) -> str:
    return f"file.driver=file,file.filename={_escaped(path)}"


def _escaped(path: Path) -> str:
    """Return the path as a value of a QEMU option: a comma is doubled."""
    return str(path).replace(",", ",,")
