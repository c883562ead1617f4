"""What is built once for a checkout and used by all its clusters.

They are built in the environment's own folder, so that a new data directory costs no build; a
cluster gets its own links to them (copies where it lies on another file system), so that
`image build` for one cluster changes no other.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from ursa.cni.install import PLUGIN, build_client
from ursa.mizar.loader import build_objects
from ursa.onebox import images, vmimage
from ursa.onebox.errors import UserError

CONTAINER_IMAGES = {"pause": images.build_pause, "busybox": images.build_busybox}
VM_IMAGE = "vm"


def built() -> Path:
    """Return the folder of what this checkout has built."""
    folder = Path(sys.prefix, "share", "ursa")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ensure_programs() -> Path:
    """Compile the BPF programs unless they are current; return their folder."""
    return build_objects(built() / "bpf")


def ensure_plugin(bin_dir: Path) -> None:
    """Give a node the CNI plugin, with the stamp that tells netd that it is current."""
    plugin = built() / "cni" / PLUGIN
    plugin.parent.mkdir(exist_ok=True)
    build_client(plugin)
    bin_dir.mkdir(parents=True, exist_ok=True)
    if not (bin_dir / PLUGIN).exists():
        for file in plugin.parent.glob(f"{PLUGIN}*"):
            _link(str(file), str(bin_dir / file.name))


def ensure_images(folder: Path) -> None:
    """Give a cluster every image that it lacks; build what was never built."""
    store = built() / "images"
    store.mkdir(exist_ok=True)
    for name, build in CONTAINER_IMAGES.items():
        tar = store / f"{name}.tar"
        if not tar.exists():
            build(tar)
        if not (folder / tar.name).exists():
            _link(str(tar), str(folder / tar.name))
    machine = vmimage.build(store / VM_IMAGE, built() / "downloads")
    if not (folder / VM_IMAGE).exists():
        part = folder / f"{VM_IMAGE}.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(machine, part, copy_function=_link)
        part.rename(folder / VM_IMAGE)


def build_image(folder: Path, name: str) -> Path:
    """Build one image anew for a cluster; return where it is. UserError if there is no such."""
    if name == VM_IMAGE:
        shutil.rmtree(folder / VM_IMAGE, ignore_errors=True)
        return vmimage.build(folder / VM_IMAGE, built() / "downloads")
    if name not in CONTAINER_IMAGES:
        raise UserError(f"no image {name!r} to build: pause, busybox or vm")
    tar = folder / f"{name}.tar"
    CONTAINER_IMAGES[name](tar)
    return tar


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
