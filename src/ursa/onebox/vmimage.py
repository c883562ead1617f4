"""The image `vm`: a small guest of Debian's cloud kernel and its static busybox.

    linux-image-*-cloud-amd64 ──▶ vmlinux (PVH), initrd (drivers, guest/initramfs.sh)
    busybox-static, guest/*.sh ──▶ disk.qcow2 (ext4: the root file system)

The kernel's package is unpacked, never installed. The guest configures itself from a NoCloud
disk, runs its user-data and powers off when asked. Same inputs, same files.
Source: Linux, Documentation/arch/x86/boot.rst (payload_offset); Xen's PVH boot protocol.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from ursa.arktos.vmruntime import imagefile
from ursa.arktos.vmruntime.imagefile import ImageFile
from ursa.onebox import cpio
from ursa.onebox.errors import UserError

NAMES = ("vm", "ursa/vm")
BUSYBOX = Path("/bin/busybox")
GUEST = Path(__file__).with_name("guest")
META_PACKAGE = "linux-image-cloud-amd64"  # depends on the kernel of the day
# The self-tests of the kernel's ciphers take a fifth of the boot under TCG.
APPEND = "console=ttyS0 quiet cryptomgr.notests"
DISK_BYTES = 1 << 30  # sparse: the file holds what is written
INODES = 16384  # one for 64 KiB; mkfs writes the tables, so few are fast
JOURNAL_MIB = 4  # the least that ext4 takes
EXT4_UUID = "75727361-766d-4000-8000-000000000001"  # fixed, so that builds are equal
BUILD_TIME_S = "1"  # of every file in the image
# Drivers of the machine that the VM runtime makes, beyond what the kernel has built in.
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "isofs", "button", "evdev", "pvpanic_pci")
LZ4_LEGACY_MAGIC = b"\x02\x21\x4c\x18"
INITTAB = b"::sysinit:/lib/guest/boot.sh\n"


def build(out_dir: Path, work_dir: Path) -> Path:
    """Make `out_dir` the folder of the image unless it is already, and return it.

    Downloads (the kernel's package) stay in `work_dir`. UserError says what failed and why.
    """
    recipe = _recipe()
    if is_built(out_dir, recipe):
        return out_dir
    for folder in (work_dir, out_dir.parent):
        folder.mkdir(parents=True, exist_ok=True)
    package = kernel_package(work_dir)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=".build-") as scratch:
        kernel = Path(scratch, "kernel")
        _run("dpkg-deb", "-x", str(package), str(kernel))
        made = Path(scratch, "image")
        made.mkdir()
        _write_files(made, kernel, Path(scratch))
        _describe(made, recipe)
        shutil.rmtree(out_dir, ignore_errors=True)
        made.rename(out_dir)
    return out_dir


def is_built(target: Path, recipe: str) -> bool:
    try:
        held = msgspec.json.decode((target / imagefile.FILE).read_bytes(), type=ImageFile)
    except (OSError, msgspec.DecodeError):
        return False
    return held.recipe == recipe


def _recipe() -> str:
    """Return a digest of all that this builder puts in, but for the kernel of the day."""
    inputs = [BUSYBOX, Path(__file__), Path(cpio.__file__), *sorted(GUEST.iterdir())]
    try:
        return _digest(inputs)
    except FileNotFoundError as fault:
        raise UserError(f"{fault.filename} is missing: install busybox-static") from fault


def kernel_package(work_dir: Path) -> Path:
    """Return the kernel's .deb, downloaded unless `work_dir` holds one."""
    held = sorted(work_dir.glob("linux-image-*-cloud-amd64_*.deb"))
    if held:
        return held[-1]
    try:
        name = _kernel_name()
    except UserError:  # a machine that has never asked a mirror
        _run("apt-get", "update", "-qq")
        name = _kernel_name()
    # apt's own user may not write here, and would only warn about it.
    _run("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", name, cwd=work_dir)
    return next(work_dir.glob(f"{name}_*.deb"))


def _kernel_name() -> str:
    listed = _run("apt-cache", "depends", META_PACKAGE)
    found = re.search(r"Depends: (linux-image-\S+-cloud-amd64)", listed)
    if found is None:
        raise UserError(f"no mirror offers {META_PACKAGE}: run 'apt-get update'")
    return found[1]


def _write_files(made: Path, kernel: Path, scratch: Path) -> None:
    compressed = next((kernel / "boot").glob("vmlinuz-*")).read_bytes()
    (made / "vmlinux").write_bytes(uncompressed(compressed))
    modules = {path.stem.replace("-", "_"): path for path in kernel.rglob("*.ko")}
    (made / "initrd").write_bytes(_initramfs(modules))
    root = scratch / "root"
    _lay_out_root(root)
    _make_disk(root, scratch / "disk.raw", made / "disk.qcow2")


def uncompressed(bzimage: bytes) -> bytes:
    """Return the ELF kernel inside a bzImage. UserError if it is not compressed by LZ4."""
    setup_sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = bzimage[start : start + length]
    if not payload.startswith(LZ4_LEGACY_MAGIC):
        raise UserError(f"the kernel's payload begins with {payload[:4].hex()}: only LZ4 is known")
    # The last four bytes are the length of the result, which lz4 would take for a block.
    done = subprocess.run(["lz4", "-dc"], input=payload[:-4], capture_output=True, check=False)
    if not done.stdout.startswith(b"\x7fELF"):
        raise UserError(f"lz4 cannot unpack the kernel: {done.stderr.decode(errors='replace')}")
    return done.stdout


def load_order(wanted: Iterable[str], depends: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return `wanted` and all that they need, each after what it needs."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order:
            for needed in depends[name]:
                visit(needed)
            order[name] = None

    for name in wanted:
        visit(name)
    return list(order)


def _initramfs(modules: Mapping[str, Path]) -> bytes:
    code = {name: path.read_bytes() for name, path in modules.items()}
    depends = {name: _depends(data) for name, data in code.items()}
    entries = [cpio.folder(name) for name in ("bin", "dev", "modules", "proc", "root")]
    entries.append(cpio.character_device("dev/console", 5, 1))  # init's output from the start
    entries.append(cpio.file("bin/busybox", BUSYBOX.read_bytes()))
    entries.append(cpio.file("init", (GUEST / "initramfs.sh").read_bytes()))
    for number, name in enumerate(load_order(MODULES, depends)):
        entries.append(cpio.file(f"modules/{number:02}-{name}.ko", code[name], 0o644))
    return cpio.archive(entries)


def _depends(module: bytes) -> tuple[str, ...]:
    """Return the modules that one needs, from its .modinfo section."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    names = found[1].decode().replace("-", "_") if found else ""
    return tuple(name for name in names.split(",") if name)


def _lay_out_root(root: Path) -> None:
    for name in ("bin", "dev", "etc", "lib/guest", "proc", "root", "run", "sys", "tmp", "var/www"):
        (root / name).mkdir(parents=True)
    (root / "sbin").symlink_to("bin")
    (root / "usr").mkdir()
    (root / "usr/bin").symlink_to("../bin")
    shutil.copyfile(BUSYBOX, root / "bin/busybox")
    for applet in _run(str(BUSYBOX), "--list").split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    for script in sorted(GUEST.glob("*.sh")):
        shutil.copyfile(script, root / "lib/guest" / script.name)
    (root / "etc/acpi/PWRF").mkdir(parents=True)
    (root / "etc/acpi/PWRF/00000080").symlink_to("/lib/guest/power.sh")
    (root / "etc/inittab").write_bytes(INITTAB)
    (root / "etc/passwd").write_bytes(b"root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_bytes(b"root:x:0:\n")
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o644 if path.parent.name == "etc" else 0o755)
        os.utime(path, (1, 1), follow_symlinks=False)


def _make_disk(root: Path, raw: Path, qcow2: Path) -> None:
    with raw.open("wb") as file:
        file.truncate(DISK_BYTES)
    fixed = {"E2FSPROGS_FAKE_TIME": BUILD_TIME_S}
    features = f"root_owner=0:0,hash_seed={EXT4_UUID},lazy_itable_init=0,nodiscard"
    _run(
        *("mkfs.ext4", "-q", "-F", "-d", str(root), "-U", EXT4_UUID, "-E", features),
        *("-L", "root", "-N", str(INODES), "-J", f"size={JOURNAL_MIB}", "-m", "0", str(raw)),
        environment=fixed,
    )
    # mkfs copies every inode's time of change, which nothing can set on the host.
    inodes = [f"/{path.relative_to(root)}" for path in sorted(root.rglob("*"))]
    script = raw.with_name("times")
    script.write_text("".join(f"sif {path} ctime @{BUILD_TIME_S}\n" for path in inodes))
    _run("debugfs", "-w", "-f", str(script), str(raw), environment=fixed)
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(qcow2))


def _describe(made: Path, recipe: str) -> None:
    files = [made / name for name in ("disk.qcow2", "initrd", "vmlinux")]
    image = ImageFile(
        names=NAMES,
        digest=f"sha256:{_digest(files)}",
        size_bytes=sum(path.stat().st_size for path in files),
        kernel="vmlinux",
        initrd="initrd",
        append=APPEND,
        probe=True,
        recipe=recipe,
    )
    text = msgspec.json.format(msgspec.json.encode(image))
    (made / imagefile.FILE).write_bytes(text)


def _digest(files: Iterable[Path]) -> str:
    """Return one digest of the names and contents of `files`."""
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            part = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.name} {part}\n".encode())
    return whole.hexdigest()


def _run(*argv: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it says. UserError names it and its last words."""
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=os.environ | dict(environment or {}),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as fault:
        raise UserError(f"cannot build the VM image: {argv[0]} is not installed") from fault
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing"]
        raise UserError(f"cannot build the VM image: {argv[0]} said: {said[0]}")
    return done.stdout
