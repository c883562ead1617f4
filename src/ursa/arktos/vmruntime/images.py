"""The node's VM images: folders below one directory, each with an `image.json`.

Images are read from disk at every question (there are few, and other processes add some).
A pulled image is checked before anybody sees it: it must be a qcow2 that stands alone, for a
backing file named inside would read the host's files into the guest.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from ursa.arktos.vmruntime import imagefile
from ursa.arktos.vmruntime.imagefile import ImageFile
from ursa.base.errors import BadRequest, NotFound, ServiceUnavailable

SCHEMES = ("http", "https", "file")
IMAGE_BYTES_MAX = 64 << 30  # larger than any cloud image; bounds what a URL can fill a disk with
CHUNK_BYTES = 1 << 20
READ_TIMEOUT_S = 60.0  # without a byte
QCOW2_MAGIC = b"QFI\xfb"
INSPECT_TIMEOUT_S = 30.0
SCRATCH_PREFIX = ".pull-"
SCRATCH_AGE_S = 6 * 3600.0  # longer than a pull may take
_CHECKSUM = re.compile(r"(.+)@(sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Image:
    folder: Path
    file: ImageFile

    @property
    def id(self) -> str:
        return self.file.digest

    @property
    def disk(self) -> Path:
        return self.folder / self.file.disk

    @property
    def is_pinned(self) -> bool:
        """Whether it was built here: nothing could bring it back but its builder."""
        return bool(self.file.recipe)


class _Inspection(msgspec.Struct, rename="kebab"):
    """What `qemu-img info --output=json` says, as far as it matters."""

    format: str
    backing_filename: str = ""
    format_specific: dict[str, object] = {}


def canonical(reference: str) -> tuple[str, str]:
    """Return the name that an image is stored under, and the digest asked for or ""."""
    match = _CHECKSUM.fullmatch(reference)
    name, digest = match.groups() if match else (reference, "")
    if not is_url(name):
        name = name.removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest")
    return name, digest


def is_url(name: str) -> bool:
    return urlsplit(name).scheme in SCHEMES


class Images:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def held(self) -> Iterator[Image]:
        """Yield every image, by the name of its folder; unreadable ones are left out."""
        for file in sorted(self.folder.glob(f"*/{imagefile.FILE}")):
            try:
                yield Image(file.parent, msgspec.json.decode(file.read_bytes(), type=ImageFile))
            except (OSError, msgspec.DecodeError):
                continue

    def find(self, reference: str) -> Image | None:
        """Return the image that a name, a URL or an id stands for."""
        name, digest = canonical(reference)
        for image in self.held():
            if reference == image.id or (name in image.file.names and digest in ("", image.id)):
                return image
        return None

    def require(self, reference: str) -> Image:
        image = self.find(reference)
        if image is None:
            names = ", ".join(name for image in self.held() for name in image.file.names)
            raise NotFound(
                f"VM image {reference!r} is not on this node, which has {names or 'none'}: name "
                "one that is there, build one (`ursa image build vm`), or give the http(s) URL "
                "of a qcow2 image"
            )
        return image

    async def pull(self, reference: str) -> Image:
        """Return the image, fetched from its URL unless it is there. Atomic and idempotent.

        A URL may end in `@sha256:<hex>`: other content is refused.
        """
        name, digest = canonical(reference)
        if not is_url(name):
            return self.require(reference)
        held = self.find(reference)
        if held is not None and digest:  # without a digest the URL may hold another by now
            return held
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=SCRATCH_PREFIX) as scratch:
            made = Path(scratch, "image")
            disk = made / "disk.qcow2"
            found = await asyncio.to_thread(_fetch, name, disk)
            if digest and found != digest:
                raise BadRequest(f"VM image {name}: its checksum is {found}, not {digest}")
            await _check_disk(name, disk)
            file = ImageFile(names=(name,), digest=found, size_bytes=disk.stat().st_size)
            self._store(made, file)
        return self.require(found)

    def _store(self, made: Path, file: ImageFile) -> None:
        name = file.names[0]
        for image in self.held():  # the name leaves what it stood for
            if name in image.file.names and image.id != file.digest:
                self._rename(image, tuple(n for n in image.file.names if n != name))
        present = self.find(file.digest)
        if present is not None:
            self._rename(present, tuple(dict.fromkeys((*present.file.names, name))))
            return
        _describe(made, file)
        target = self.folder / file.digest.removeprefix("sha256:")[:32]
        try:
            made.rename(target)
        except OSError:  # another runtime of this folder was first
            if self.find(file.digest) is None:
                raise

    def _rename(self, image: Image, names: tuple[str, ...]) -> None:
        if names:
            _describe(image.folder, replace(image.file, names=names))
        else:
            _remove_folder(image.folder)

    def remove(self, reference: str) -> None:
        """Remove an image; machines made from it keep their own link to its disk. Idempotent."""
        image = self.find(reference)
        if image is not None:
            _remove_folder(image.folder)

    def usage(self) -> tuple[int, int]:
        """Return the bytes and inodes that the images take."""
        files = [path for path in self.folder.glob("*/*") if path.is_file()]
        return sum(path.stat().st_blocks * 512 for path in files), len(files)

    def clear_scratch(self, now_s: float) -> None:
        """Remove what an interrupted pull left; a young one may be another runtime's work."""
        for path in self.folder.glob(f"{SCRATCH_PREFIX}*"):
            if now_s - path.stat().st_mtime > SCRATCH_AGE_S:
                shutil.rmtree(path, ignore_errors=True)


def _describe(folder: Path, file: ImageFile) -> None:
    part = folder / f"{imagefile.FILE}.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(file)))
    part.replace(folder / imagefile.FILE)


def _remove_folder(folder: Path) -> None:
    (folder / imagefile.FILE).unlink(missing_ok=True)  # first: without it there is no image
    shutil.rmtree(folder, ignore_errors=True)


def _fetch(url: str, target: Path) -> str:
    """Copy the URL's content to `target` and return its digest. Blocking."""
    target.parent.mkdir()
    try:
        with (
            urllib.request.urlopen(url, timeout=READ_TIMEOUT_S) as source,
            target.open("wb") as out,
        ):
            digest = _copy(url, source, out)
            os.fsync(out.fileno())
    except (urllib.error.URLError, OSError, ValueError) as fault:
        raise ServiceUnavailable(f"VM image {url} cannot be fetched: {fault}") from fault
    return digest


def _copy(url: str, source: IO[bytes], out: IO[bytes]) -> str:
    whole = hashlib.sha256()
    taken = 0
    while chunk := source.read(CHUNK_BYTES):
        if taken == 0 and not chunk.startswith(QCOW2_MAGIC):
            raise BadRequest(f"VM image {url} is no qcow2: convert it with `qemu-img convert`")
        taken += len(chunk)
        if taken > IMAGE_BYTES_MAX:
            raise BadRequest(f"VM image {url} is larger than {IMAGE_BYTES_MAX >> 30} GiB")
        whole.update(chunk)
        out.write(chunk)
    if taken == 0:
        raise BadRequest(f"VM image {url} is empty")
    return f"sha256:{whole.hexdigest()}"


async def _check_disk(url: str, disk: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        *("qemu-img", "info", "--output=json", "-f", "qcow2", str(disk)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(INSPECT_TIMEOUT_S):
            output, said = await child.communicate()
    except TimeoutError as fault:
        child.kill()
        await child.wait()
        raise BadRequest(f"VM image {url}: qemu-img cannot make sense of it") from fault
    if child.returncode != 0:
        raise BadRequest(f"VM image {url}: {said.decode(errors='replace').strip()}")
    found = msgspec.json.decode(output, type=_Inspection)
    data = found.format_specific.get("data")
    if found.backing_filename or (isinstance(data, dict) and data.get("data-file")):
        raise BadRequest(f"VM image {url} needs another file: flatten it with `qemu-img convert`")
