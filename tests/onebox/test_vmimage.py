"""The image `vm`: what is pure of it, and that a build is complete and repeatable.

Its scripts run on this machine's busybox, the same that is in the guest. That it boots is
tested with the VM runtime.
"""

import subprocess
from pathlib import Path

import msgspec
import pytest

from ursa.arktos.vmruntime import imagefile
from ursa.arktos.vmruntime.imagefile import ImageFile
from ursa.onebox import cpio, vmimage
from ursa.onebox.errors import UserError
from vmnode import vm_image

GUEST = Path(vmimage.__file__).with_name("guest")


def guest_script(name: str, text: str, folder: Path) -> str:
    """Return what a guest script prints about `text`."""
    file = folder / "input"
    file.write_text(text)
    command = ["/bin/busybox", "sh", str(GUEST / name), str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run_cloud_config(text: str, folder: Path) -> str:
    """Return the output of the script that a #cloud-config becomes."""
    script = guest_script("cloudconfig.sh", text, folder)
    command = ["/bin/busybox", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return done.stdout


def test_modules_come_after_what_they_need():
    depends = {"net": ("failover", "ring"), "failover": ("core",), "ring": (), "core": ()}
    order = vmimage.load_order(["net", "ring"], depends)
    assert order == ["core", "failover", "ring", "net"]


def test_a_kernel_that_is_not_lz4_is_refused():
    with pytest.raises(UserError, match="only LZ4 is known"):
        vmimage.uncompressed(bytes(4096))


def test_an_archive_is_what_cpio_reads(tmp_path):
    entries = [cpio.folder("bin"), cpio.file("bin/tool", b"hello"), cpio.file("empty", b"")]
    archive = cpio.archive(entries)
    command = ["/bin/busybox", "cpio", "-idm"]
    subprocess.run(command, input=archive, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "bin/tool").read_bytes() == b"hello"
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "empty").read_bytes() == b""


def test_runcmd_takes_strings_lists_and_blocks(tmp_path):
    text = """#cloud-config
runcmd:
  - echo one "two"  three
  - [ sh, -c, "echo four, five" ]
  - ['echo', 'it''s six']
  - |
    for n in 7 8; do
      echo "block $n"
    done
  - echo last
"""
    lines = run_cloud_config(text, tmp_path).splitlines()
    assert lines[:2] == ["one two three", "four, five"]
    assert lines[-3:] == ["block 7", "block 8", "last"]


def test_write_files_writes_blocks_and_plain_text_with_their_modes(tmp_path):
    text = f"""#cloud-config
write_files:
- path: {tmp_path}/a/page
  content: |
    it's <b>here</b>
      indented

    $HOME stays
  permissions: '0600'
- content: plain
  path: "{tmp_path}/b"
runcmd:
- cat {tmp_path}/b
"""
    assert run_cloud_config(text, tmp_path) == "plain"
    page = tmp_path / "a/page"
    assert page.read_text() == "it's <b>here</b>\n  indented\n\n$HOME stays\n"
    assert page.stat().st_mode & 0o777 == 0o600


def test_what_the_guest_does_not_know_is_named(tmp_path):
    text = "#cloud-config\npackages:\n  - vim\nruncmd:\n  - echo on\n"
    lines = run_cloud_config(text, tmp_path).splitlines()
    assert lines == ["ursa: cloud-config: packages is not known here", "on"]


@pytest.mark.root
def test_a_build_holds_kernel_initrd_and_disk_and_is_made_once():
    images = vm_image()
    held = msgspec.json.decode((images / "vm" / imagefile.FILE).read_bytes(), type=ImageFile)
    assert held.names == ("vm", "ursa/vm")
    assert (images / "vm" / held.kernel).read_bytes()[:4] == b"\x7fELF"
    built_at = (images / "vm" / held.disk).stat().st_mtime_ns
    vmimage.build(images / "vm", images / "work")
    assert (images / "vm" / held.disk).stat().st_mtime_ns == built_at


@pytest.mark.root
def test_two_builds_are_equal(tmp_path):
    images = vm_image()
    again = vmimage.build(tmp_path / "vm", images / "work")
    for name in ("disk.qcow2", "initrd", "vmlinux", imagefile.FILE):
        assert (again / name).read_bytes() == (images / "vm" / name).read_bytes(), name
