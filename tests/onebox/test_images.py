import json
import subprocess
import tarfile

import pytest

from ursa.onebox import images
from ursa.onebox.images import File


def read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    assert member is not None
    return member.read()


def test_an_image_names_its_references_and_its_blobs_by_digest(tmp_path):
    out = tmp_path / "i.tar"
    images.write_image(out, ["a/b:1", "a/b:2"], [File("x", b"1")], {"Cmd": ["x"]})
    with tarfile.open(out) as tar:
        index = json.loads(read(tar, "index.json"))
        names = [m["annotations"]["io.containerd.image.name"] for m in index["manifests"]]
        manifest = json.loads(read(tar, f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"))
        config = json.loads(read(tar, f"blobs/sha256/{manifest['config']['digest'][7:]}"))
    assert names == ["a/b:1", "a/b:2"]
    assert config["config"] == {"Cmd": ["x"]}
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        images.write_image(tmp_path / name, ["n:1"], [File("x", b"1"), File("d")], {})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.root
def test_pause_ends_on_sigterm(tmp_path):
    images.build_pause(tmp_path / "pause.tar")
    with tarfile.open(tmp_path / "pause.tar") as tar:
        index = json.loads(read(tar, "index.json"))
        manifest = json.loads(read(tar, f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"))
        layer = tar.extractfile(f"blobs/sha256/{manifest['layers'][0]['digest'][7:]}")
        with tarfile.open(fileobj=layer) as files:
            files.extract("pause", tmp_path, filter="data")
    (tmp_path / "pause").chmod(0o755)
    running = subprocess.Popen([tmp_path / "pause"])
    running.terminate()
    assert running.wait(timeout=10) in (0, -15)  # -15: before it blocked the signal
