"""Real machines in a real runtime: born, reached, adopted, ended; nothing of them is left.

One node serves the whole file; each test has a sandbox of its own. Guests take seconds
under TCG, so tests share one where they can.
"""

import os
import signal
import struct
import subprocess
import urllib.request
from pathlib import Path

import grpc
import pytest
from cri_api.v1 import api_pb2 as cri

from vmnode import GUEST_ADDRESS, MTU_BYTES, VmNode, eventually, vm_image

pytestmark = pytest.mark.root

WEB = "mkdir -p /var/www; hostname >/var/www/index.html; httpd -p 80 -h /var/www"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with VmNode(tmp_path_factory.mktemp("vm"), vm_image()) as node:
        yield node


@pytest.fixture(autouse=True)
def sandbox(node, request):
    """A sandbox named after the test; after it nothing of it must be left."""
    sandbox_id = node.run_sandbox(uid=request.node.name[:40])
    yield sandbox_id
    node.remove(sandbox_id)
    assert node.remains() == set()
    for log in node.pod_logs.glob("main/*"):
        log.unlink()


def refusal(call, *arguments, **options):
    """Return code and words of the refusal that a call must meet."""
    with pytest.raises(grpc.RpcError) as raised:
        call(*arguments, **options)
    return raised.value.code(), raised.value.details()


def test_a_guest_configures_itself_serves_and_powers_off_when_asked(node, sandbox):
    machine = node.create(sandbox, WEB, annotations={"vm.ursa.dev/hostname": "box-7"})
    assert node.status(machine).state == cri.CONTAINER_CREATED
    node.launch(machine)
    node.launch(machine)  # again: nothing happens
    node.await_line("ursa: ready")
    assert f"ursa: eth0 has {GUEST_ADDRESS}/24" in node.console()
    assert node.inside(lambda: fetch(f"http://{GUEST_ADDRESS}/")) == "box-7\n"
    assert ping_whole(node, MTU_BYTES)

    node.kill()
    node.start()
    assert node.status(machine).state == cri.CONTAINER_RUNNING
    assert node.run_sandbox(uid=sandbox_uid(node, sandbox)) == sandbox

    stop = cri.StopContainerRequest(container_id=machine, timeout=60)
    node.runtime.StopContainer(stop)
    status = node.status(machine)
    assert (status.exit_code, status.reason) == (0, "Completed")
    assert status.created_at < status.started_at < status.finished_at
    said = node.console()
    assert "ursa: powering off" in said
    assert len(said) == len(set(said)), "a line was doubled over the restart"


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def ping_whole(node: VmNode, packet_bytes: int) -> bool:
    payload = packet_bytes - 28  # IPv4 20, ICMP 8
    command = ["ping", "-c1", "-W5", "-Mdo", f"-s{payload}", GUEST_ADDRESS]
    done = node.inside(lambda: subprocess.run(command, capture_output=True, check=False))
    return done.returncode == 0


def sandbox_uid(node: VmNode, sandbox: str) -> str:
    request = cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox)
    status = node.runtime.PodSandboxStatus(request).status
    assert status.network.ip == GUEST_ADDRESS and status.state == cri.SANDBOX_READY
    return status.metadata.uid


def test_a_guest_that_powers_itself_off_while_nobody_looks_is_completed(node, sandbox):
    machine = node.create(sandbox, "echo kept >/root/file; sync; poweroff -f")
    node.launch(machine)
    node.kill()
    eventually(lambda: "Power down" in raw_console(node, machine))
    node.start()
    status = node.await_exit(machine)
    assert (status.exit_code, status.reason) == (0, "Completed")
    eventually(lambda: node.qemu() == [])
    assert any("Power down" in line for line in node.console())

    again = node.create(sandbox, "cat /root/file", attempt=1)  # its disk is still there
    node.launch(again)
    node.await_line("kept", attempt=1)


def raw_console(node: VmNode, machine: str) -> str:
    file = node.folder / "state/machines" / machine / "console.raw"
    return file.read_text(errors="replace") if file.exists() else ""


def test_a_killed_qemu_is_seen_at_once_and_a_panic_is_told(node, sandbox):
    machine = node.create(sandbox)
    node.launch(machine)
    node.await_line("ursa: ready")  # without user-data as well
    (pid,) = node.qemu()
    uid = os.stat(f"/proc/{pid}").st_uid
    assert uid >= 1_800_000_000, "QEMU runs as a user of its own"
    assert (os.getpgid(pid), os.getsid(pid)) == (pid, pid)
    code, words = refusal(node.launch, node.create(sandbox, attempt=1))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "has a running machine" in words
    os.kill(pid, signal.SIGKILL)
    status = eventually(lambda: exited(node, machine), within_s=1.0)
    assert (status.exit_code, status.reason) == (137, "Error")

    panicking = node.create(sandbox, "echo c >/proc/sysrq-trigger", attempt=2)
    node.launch(panicking)
    status = node.await_exit(panicking)
    assert (status.exit_code, status.reason) == (1, "Error")
    assert "panicked" in status.message


def exited(node: VmNode, machine: str):
    status = node.status(machine)
    return status if status.state == cri.CONTAINER_EXITED else None


def test_a_machine_killed_with_the_runtime_is_exited_when_it_comes_back(node, sandbox):
    machine = node.create(sandbox)
    node.launch(machine)
    node.kill()
    (pid,) = node.qemu()
    os.kill(pid, signal.SIGKILL)
    node.start()
    status = node.await_exit(machine)
    assert status.exit_code == 137 and "while the VM runtime was away" in status.message


def test_a_stop_that_the_guest_cannot_hear_ends_it_after_its_time(node, sandbox):
    machine = node.create(sandbox)
    node.launch(machine)  # still in its firmware: no button yet
    node.runtime.StopContainer(cri.StopContainerRequest(container_id=machine, timeout=1))
    status = node.status(machine)
    assert status.exit_code == 137 and "did not power off within 1 s" in status.message


# 16-bit code of a boot sector: says `ok` on the first serial port, then powers off by ACPI.
BOOT_SECTOR = (
    b"\xba\xf8\x03"  # mov dx, 0x3f8
    + b"".join(b"\xb0%c\xee" % byte for byte in b"ok\n")  # mov al, byte; out dx, al
    + b"\xba\x04\x06\xb8\x00\x20\xef"  # mov dx, 0x604 (PM1a control); mov ax, S5; out dx, ax
    + b"\xf4\xeb\xfd"  # hlt; again
)


def create_from_disk(node, sandbox, folder, boot_sector):
    """Return a machine made of a disk that is only in a file of ours."""
    (folder / "raw").write_bytes(boot_sector.ljust(512, b"\0") + bytes(1 << 20))
    disk = folder / "disk.qcow2"
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(folder / "raw"), str(disk)]
    subprocess.run(command, check=True)
    image = cri.ImageSpec(image=f"file:{disk}")
    node.images.PullImage(cri.PullImageRequest(image=image))
    try:
        return node.create(sandbox, image=image.image)
    finally:
        node.images.RemoveImage(cri.RemoveImageRequest(image=image))  # the machine keeps its own


def test_a_plain_qcow2_boots_by_its_own_loader(node, sandbox, tmp_path):
    sector = BOOT_SECTOR.ljust(510, b"\0") + struct.pack("<H", 0xAA55)
    machine = create_from_disk(node, sandbox, tmp_path, sector)
    node.launch(machine)
    assert node.await_exit(machine).exit_code == 0
    assert any(line.endswith("ok") for line in node.console())


def test_an_image_that_does_not_boot_ends_its_machine_and_says_what_is_missing(
    node, sandbox, tmp_path
):
    machine = create_from_disk(node, sandbox, tmp_path, b"")
    node.launch(machine)
    ended = node.await_exit(machine)
    assert ended.exit_code == 137
    assert "has nothing to boot: it needs a boot loader" in ended.message


def test_what_is_half_made_when_the_runtime_dies_is_undone(node, sandbox):
    machine = node.create(sandbox)
    starting = node.folder / "state/machines" / machine / "record.json"
    node.kill()
    starting.write_text(starting.read_text().replace('"created"', '"starting"'))
    half = node.folder / "state/machines/half"
    half.mkdir()
    (node.folder / "run/stray.qmp").touch()
    node.start()
    assert node.status(machine).state == cri.CONTAINER_CREATED
    assert not half.exists() and not (node.folder / "run/stray.qmp").exists()


def test_a_refused_port_leaves_nothing_and_says_why(node):
    node.refuse_network(True)
    code, words = refusal(node.run_sandbox, uid="refused")
    assert code is grpc.StatusCode.UNAVAILABLE and "no port" in words
    node.refuse_network(False)
    again = node.run_sandbox(uid="refused")
    node.remove(again)
    node.remove(again)  # again: nothing happens


def test_an_unfinished_sandbox_is_removed_once_the_network_is_back(node, sandbox):
    record = node.folder / "state/sandboxes" / sandbox / "record.json"
    node.kill()
    text = record.read_text().replace('"ready"', '"creating"')
    record.write_text(text)
    node.refuse_network(True)
    node.start()
    assert not node.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items
    node.refuse_network(False)
    eventually(lambda: node.links() == set())
    eventually(lambda: not record.exists())


def test_a_lost_tap_makes_the_sandbox_not_ready(node, sandbox):
    (link,) = node.links()
    machine = node.create(sandbox)
    node.kill()
    subprocess.run(["ip", "-n", node.name, "link", "del", link], check=True)
    node.start()
    request = cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox)
    assert node.runtime.PodSandboxStatus(request).status.state == cri.SANDBOX_NOTREADY
    code, words = refusal(node.launch, machine)
    assert code is grpc.StatusCode.FAILED_PRECONDITION and "another attempt" in words


def test_refusals_have_codes_and_remedies(node, sandbox):
    code, words = refusal(node.create, sandbox, image="debian")
    assert code is grpc.StatusCode.NOT_FOUND and "ursa/vm" in words
    code, _ = refusal(node.create, "nobody")
    assert code is grpc.StatusCode.NOT_FOUND
    code, _ = refusal(node.create, sandbox, annotations={"vm.ursa.dev/vcpus": "x"})
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    code, words = refusal(node.runtime.ExecSync, cri.ExecSyncRequest(container_id="x"))
    assert code is grpc.StatusCode.UNIMPLEMENTED and "no commands" in words
    greedy = node.create(sandbox, annotations={"vm.ursa.dev/memory-bytes": str(1 << 46)})
    code, words = refusal(node.launch, greedy)
    assert code is grpc.StatusCode.INTERNAL and "QEMU did not start: " in words
    assert node.status(greedy).state == cri.CONTAINER_CREATED and node.qemu() == []


def test_the_images_are_listed_with_tags_and_digest(node):
    (image,) = node.images.ListImages(cri.ListImagesRequest()).images
    assert list(image.repo_tags) == ["vm:latest", "ursa/vm:latest"] and image.pinned
    for name in ("vm", "ursa/vm:latest", image.id):
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=name))
        assert node.images.ImageStatus(request).image.id == image.id
    request = cri.ImageStatusRequest(image=cri.ImageSpec(image="debian"))
    assert not node.images.ImageStatus(request).HasField("image")
    (usage,) = node.images.ImageFsInfo(cri.ImageFsInfoRequest()).image_filesystems
    assert usage.used_bytes.value > 1 << 20


def test_the_runtime_stays_small(node):
    rollup = Path(f"/proc/{node.pid}/smaps_rollup").read_text()
    pss_kib = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert pss_kib < 60 << 10
