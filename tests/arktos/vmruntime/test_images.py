"""Images by name, URL and digest; what is pulled is checked before anybody sees it."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from ursa.arktos.vmruntime.images import SCRATCH_AGE_S, SCRATCH_PREFIX, Images, canonical
from ursa.base.errors import BadRequest, NotFound, ServiceUnavailable


def qcow2(path: Path, *options: str) -> Path:
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *options, str(path), "1M"], check=True
    )
    return path


def digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("vm", "vm"),
        ("vm:latest", "vm"),
        ("docker.io/library/vm:latest", "vm"),
        ("ursa/vm:latest", "ursa/vm"),
        ("docker.io/ursa/vm", "ursa/vm"),
        ("https://host/a.qcow2", "https://host/a.qcow2"),
    ],
)
def test_a_name_has_one_form(reference, name):
    assert canonical(reference) == (name, "")


async def test_a_pulled_image_is_found_by_url_and_digest(tmp_path):
    disk = qcow2(tmp_path / "a.qcow2")
    images = Images(tmp_path / "images")
    image = await images.pull(f"file:{disk}@{digest(disk)}")
    assert image.id == digest(disk)
    assert image.disk.read_bytes() == disk.read_bytes()
    assert images.find(f"file:{disk}") == images.find(image.id) == image
    assert (await images.pull(f"file:{disk}")).id == image.id


async def test_one_content_under_two_urls_is_stored_once(tmp_path):
    disk = qcow2(tmp_path / "a.qcow2")
    other = tmp_path / "b.qcow2"
    other.write_bytes(disk.read_bytes())
    images = Images(tmp_path / "images")
    for path in (disk, other):
        await images.pull(f"file:{path}")
    (held,) = images.held()
    assert held.file.names == (f"file:{disk}", f"file:{other}")


async def test_a_url_with_another_content_takes_its_name_along(tmp_path):
    disk = qcow2(tmp_path / "a.qcow2")
    images = Images(tmp_path / "images")
    await images.pull(f"file:{disk}")
    qcow2(disk, "-o", "cluster_size=4k")
    image = await images.pull(f"file:{disk}")
    assert list(images.held()) == [image] and image.id == digest(disk)


async def test_a_wrong_checksum_leaves_nothing(tmp_path):
    disk = qcow2(tmp_path / "a.qcow2")
    images = Images(tmp_path / "images")
    with pytest.raises(BadRequest, match="checksum"):
        await images.pull(f"file:{disk}@sha256:{'0' * 64}")
    assert list((tmp_path / "images").iterdir()) == []


async def test_an_image_that_names_another_file_is_refused(tmp_path):
    secret = qcow2(tmp_path / "secret.qcow2")
    disk = qcow2(tmp_path / "a.qcow2", "-F", "qcow2", "-b", str(secret))
    with pytest.raises(BadRequest, match="needs another file"):
        await Images(tmp_path / "images").pull(f"file:{disk}")
    data = qcow2(tmp_path / "b.qcow2", "-o", f"data_file={tmp_path}/raw,data_file_raw=on")
    with pytest.raises(BadRequest, match="needs another file"):
        await Images(tmp_path / "images").pull(f"file:{data}")


async def test_what_is_no_qcow2_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"<html>")
    (tmp_path / "b").write_bytes(b"")
    images = Images(tmp_path / "images")
    with pytest.raises(BadRequest, match="is no qcow2"):
        await images.pull(f"file:{tmp_path}/a")
    with pytest.raises(BadRequest, match="is empty"):
        await images.pull(f"file:{tmp_path}/b")
    with pytest.raises(ServiceUnavailable, match="cannot be fetched"):
        await images.pull(f"file:{tmp_path}/c")


async def test_an_unknown_name_says_what_there_is(tmp_path):
    disk = qcow2(tmp_path / "a.qcow2")
    images = Images(tmp_path / "images")
    with pytest.raises(NotFound, match="which has none"):
        await images.pull("debian")
    await images.pull(f"file:{disk}")
    with pytest.raises(NotFound, match=r"a\.qcow2"):
        await images.pull("debian")


async def test_removal_is_idempotent_and_an_old_scratch_goes(tmp_path):
    images = Images(tmp_path / "images")
    await images.pull(f"file:{qcow2(tmp_path / 'a.qcow2')}")
    for _ in range(2):
        images.remove(f"file:{tmp_path}/a.qcow2")
    scratch = tmp_path / "images" / f"{SCRATCH_PREFIX}x"
    scratch.mkdir()
    born_s = scratch.stat().st_mtime
    images.clear_scratch(born_s + 1)
    assert scratch.exists()
    images.clear_scratch(born_s + SCRATCH_AGE_S + 1)
    assert list((tmp_path / "images").iterdir()) == []
