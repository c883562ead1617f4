"""How long from a machine's creation to its guest's init, and what of it is QEMU's own?

boot_s: CreateContainer → the guest's init speaks in the pod's log, by CRI on a node without the
rest of the cloud; sandbox and image are there. qemu_boot_s: the same kernel, initramfs, size
and accelerator by QEMU alone, exec → init speaks on the serial line. Interleaved, so that both
meet the same machine. stop_s: StopContainer of a booted guest → its end. Excluded: scheduling
and the port of a real network. Budget: SPECIFICATION.md, "VM".
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from cri_api.v1 import api_pb2 as cri

from harness import emit, machine
from ursa.arktos.vmruntime.command import ACCELERATION, MACHINE, QEMU, Accelerator
from ursa.arktos.vmruntime.images import Image, Images
from vmnode import VmNode, eventually, vm_image

RUNS = 7
MEMORY_MIB = 128
INIT_SAYS = "ursa: init reached"
READY_SAYS = "ursa: ready"
TIMEOUT_S = 60.0


def qemu_alone(image: Image, accelerator: Accelerator, folder: Path) -> float:
    """Return the seconds from exec to the guest's init."""
    disk = folder / "alone.qcow2"
    base = str(image.disk)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, str(disk)],
        check=True,
    )
    command = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-machine", MACHINE]
    command += [*ACCELERATION[accelerator], "-m", str(MEMORY_MIB), "-serial", "stdio"]
    command += ["-kernel", str(image.folder / image.file.kernel)]
    command += ["-initrd", str(image.folder / image.file.initrd), "-append", image.file.append]
    command += ["-drive", f"file={disk},if=virtio"]
    began_s = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as child:
        try:
            assert child.stdout is not None
            while INIT_SAYS.encode() not in child.stdout.readline():
                assert child.poll() is None, "QEMU ended before its guest's init"
            return time.monotonic() - began_s
        finally:
            child.kill()
            disk.unlink()


def by_runtime(node: VmNode, sandbox: str, attempt: int) -> tuple[float, float]:
    """Return the seconds from creation to init, and those of a clean stop."""
    began_s = time.monotonic()
    created = node.create(sandbox, attempt=attempt)
    node.launch(created)
    eventually(lambda: INIT_SAYS in node.console(attempt), within_s=TIMEOUT_S)
    boot_s = time.monotonic() - began_s
    eventually(lambda: READY_SAYS in node.console(attempt), within_s=TIMEOUT_S)
    began_s = time.monotonic()
    node.runtime.StopContainer(cri.StopContainerRequest(container_id=created, timeout=30))
    stop_s = time.monotonic() - began_s
    node.runtime.RemoveContainer(cri.RemoveContainerRequest(container_id=created))
    return boot_s, stop_s


def accelerator_of(node: VmNode) -> Accelerator:
    kvm = '"kvm"' in (node.folder / "state/accelerator.json").read_text()
    return Accelerator.KVM if kvm else Accelerator.TCG


def main() -> None:
    alone, boots, stops = [], [], []
    with tempfile.TemporaryDirectory() as folder, VmNode(Path(folder), vm_image()) as node:
        image = Images(vm_image()).require("vm")
        sandbox = node.run_sandbox()
        by_runtime(node, sandbox, 0)  # warms the page cache, and decides the accelerator
        accelerator = accelerator_of(node)
        for run in range(1, RUNS + 1):
            alone.append(qemu_alone(image, accelerator, Path(folder)))
            boot_s, stop_s = by_runtime(node, sandbox, run)
            boots.append(boot_s)
            stops.append(stop_s)
        node.remove(sandbox)
    emit("qemu_boot_s", alone, "s", component=accelerator)
    emit("boot_s", boots, "s", component=accelerator)
    emit("stop_s", stops, "s", component=accelerator)
    machine()


if __name__ == "__main__":
    main()
