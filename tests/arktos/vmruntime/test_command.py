"""A machine's hardware is a function of its record."""

from pathlib import Path

import pytest

from ursa.arktos.vmruntime import limits
from ursa.arktos.vmruntime.command import (
    UID_COUNT,
    UID_FIRST,
    Accelerator,
    Files,
    command,
    uid,
)
from ursa.arktos.vmruntime.records import Limits, MachineRecord, MachineState, Nic

FILES = Files(Path("/m/seed.iso"), Path("/m/a,b"), Path("/m/words"), Path("/r/1.qmp"))
NIC = Nic(tap="t0", mac="02:00:00:00:00:05", mtu_bytes=1400, addresses=(), gateways=())


def machine(**fields: object) -> MachineRecord:
    plain = {
        "id": "0a",
        "sandbox_id": "1",
        "name": "main",
        "attempt": 0,
        "state": MachineState.CREATED,
        "created_ns": 0,
        "image": "vm",
        "image_id": "sha256:0",
        "vcpus": 2,
        "memory_bytes": 128 << 20,
        "disk": "/m/root.qcow2",
    }
    return MachineRecord(**(plain | fields))


def value_after(argv: list[str], option: str) -> list[str]:
    return [argv[i + 1] for i, word in enumerate(argv) if word == option]


def test_size_and_accelerator_are_the_records():
    argv = command(machine(), FILES, NIC, 7, Accelerator.TCG)
    assert value_after(argv, "-m") == ["128"] and value_after(argv, "-smp") == ["2"]
    assert value_after(argv, "-accel") == ["tcg,tb-size=32"]
    assert value_after(command(machine(), FILES, NIC, 7, Accelerator.KVM), "-cpu") == ["host"]


def test_every_device_has_a_slot_of_its_own():
    devices = value_after(command(machine(), FILES, NIC, 7, Accelerator.TCG), "-device")
    slots = [part for device in devices for part in device.split(",") if part.startswith("addr=")]
    assert len(slots) == len(devices) == len(set(slots))


def test_the_nic_has_the_ports_mac_and_mtu_and_the_taps_descriptor():
    text = " ".join(command(machine(), FILES, NIC, 7, Accelerator.TCG))
    assert "tap,id=nic,fd=7" in text
    assert "mac=02:00:00:00:00:05,host_mtu=1400" in text
    assert "virtio-net" not in " ".join(command(machine(), FILES, None, -1, Accelerator.TCG))


def test_a_disk_that_boots_by_itself_gets_no_kernel():
    assert "-kernel" not in command(machine(), FILES, NIC, 7, Accelerator.TCG)
    direct = command(machine(kernel="/m/kernel", append="quiet"), FILES, NIC, 7, Accelerator.TCG)
    assert value_after(direct, "-append") == ["quiet"] and "-initrd" not in direct


def test_a_comma_in_a_path_does_not_end_the_option():
    assert "logfile=/m/a,,b," in " ".join(command(machine(), FILES, NIC, 7, Accelerator.TCG))


def test_machines_run_as_users_of_their_own():
    users = {uid(f"{number:032x}") for number in range(100)}
    assert len(users) == 100
    assert all(UID_FIRST <= user < UID_FIRST + UID_COUNT for user in users)


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        (Limits(), {}),
        (Limits(cpu_shares=1024), {"cpu.weight": "39"}),
        (Limits(cpu_quota_us=50_000, cpu_period_us=100_000), {"cpu.max": "50000 100000"}),
        (Limits(cpu_quota_us=-1, cpu_period_us=100_000), {}),
    ],
)
def test_limits_of_version_2(wanted, files):
    memory_bytes = limits.memory_limit_bytes(128 << 20)
    assert memory_bytes == (128 + 32 + 144) << 20
    assert limits.v2_files(memory_bytes, wanted) == {"memory.max": str(memory_bytes)} | files
