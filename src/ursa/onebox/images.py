"""Container images without a registry: OCI layouts in a plain tar, built from what Debian has.

pause is 30 lines of C without a libc: it waits for signals and reaps. busybox is Debian's
static busybox with its applets as links. Both are reproducible: same input, same bytes.
Source: OCI Image Format Specification 1.0 (layout, manifest, config); containerd's annotation
`io.containerd.image.name`, which names an image at import.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ursa.onebox.errors import UserError

PAUSE_IMAGE = "ursa.dev/pause:1"
BUSYBOX = "/bin/busybox"
BUSYBOX_NAMES = tuple(
    f"docker.io/library/busybox:{tag}" for tag in ("latest", "stable", "1.35", "musl", "glibc")
)
PAUSE_SOURCE = Path(__file__).with_name("pause.c")
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class File:
    """One entry of a layer. `target` makes it a symbolic link, `data` None a directory."""

    path: str
    data: bytes | None = None
    mode: int = 0o755
    target: str = ""


def build_pause(out: Path) -> None:
    """Write the pause image to `out`. UserError if the compiler refuses."""
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder, "pause")
        command = ["clang", "-Os", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"]
        command += ["-Wl,--build-id=none", "-s", "-o", str(binary), str(PAUSE_SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UserError(f"cannot compile {PAUSE_SOURCE.name}: {done.stderr.strip()}")
        files = [File("pause", binary.read_bytes())]
    write_image(out, [PAUSE_IMAGE], files, {"Entrypoint": ["/pause"]})


def build_busybox(out: Path) -> None:
    """Write the busybox image to `out`: Debian's busybox-static with all its applets."""
    applets = subprocess.run(
        [BUSYBOX, "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    folders = ("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var", "var/www")
    files = [File(folder, mode=0o1777 if folder == "tmp" else 0o755) for folder in folders]
    files.append(File("bin/busybox", Path(BUSYBOX).read_bytes()))
    files += [File(f"bin/{name}", target="busybox") for name in applets if name != "busybox"]
    files.append(
        File("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:\n", 0o644)
    )
    files.append(File("etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644))
    write_image(out, BUSYBOX_NAMES, files, {"Cmd": ["sh"], "Env": ["PATH=/bin"]})


def write_image(
    out: Path, names: Iterable[str], files: Iterable[File], config: dict[str, Any]
) -> None:
    """Write an image of one layer, under each of `names` (full references), as a tar."""
    layer = _layer(files)
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs = [layer, _json(image)]
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, blobs[1]),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    entries = [
        _descriptor(_MANIFEST, manifest) | {"annotations": {"io.containerd.image.name": name}}
        for name in names
    ]
    index = _json({"schemaVersion": 2, "manifests": entries})
    members = [("oci-layout", _json({"imageLayoutVersion": "1.0.0"})), ("index.json", index)]
    members += [(f"blobs/sha256/{_digest(b)[7:]}", b) for b in (*blobs, manifest)]
    part = out.with_name(out.name + ".part")
    with tarfile.open(part, "w") as tar:
        for name, data in members:
            _add(tar, File(name, data, 0o644))
    part.replace(out)


def _layer(files: Iterable[File]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in files:
            _add(tar, file)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, file: File) -> None:
    entry = tarfile.TarInfo(file.path)
    entry.mode = file.mode
    if file.target:
        entry.type, entry.linkname = tarfile.SYMTYPE, file.target
        tar.addfile(entry)
    elif file.data is None:
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
    else:
        entry.size = len(file.data)
        tar.addfile(entry, io.BytesIO(file.data))


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}
