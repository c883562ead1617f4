"""Put the plugin and its configuration where a container runtime looks for them.

The runtime wants a plugin named `loopback` beside ours: both names are one file, and netd
tells them apart by the configuration's type.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

PLUGIN, LOOPBACK, SOCKET = "ursa-cni", "loopback", "netd.sock"
CONF_NAME = "10-ursa.conflist"
CNI_VERSION = "0.4.0"
SOURCE = Path(__file__).with_name("client.c")
TWIN = Path(__file__).with_name("client.py")
COMPILERS = ("clang", "gcc")
_FLAGS = ("-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror")


def build_client(out: Path) -> None:
    """Write the plugin to `out`: compiled, or its Python twin where no compiler works.

    `out` is kept if it was made from this very source.
    """
    digest = hashlib.sha256(SOURCE.read_bytes() + TWIN.read_bytes()).hexdigest()
    stamp = out.with_name(out.name + ".sha256")
    if out.exists() and stamp.exists() and stamp.read_text() == digest:
        return
    part = out.with_name(out.name + ".part")
    if not _compile(part):
        shutil.copyfile(TWIN, part)
    part.chmod(0o755)
    part.replace(out)
    stamp.write_text(digest)


def _compile(out: Path) -> bool:
    """Return whether a compiler wrote `out`."""
    for compiler in filter(shutil.which, COMPILERS):
        command = [compiler, *_FLAGS, "-o", str(out), str(SOURCE)]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return True
    return False


def install(bin_dir: Path, conf_dir: Path, network: str) -> None:
    """Write the plugins and the network's configuration; idempotent.

    The configuration comes last: the runtime says "network ready" once it is there.
    """
    bin_dir.mkdir(parents=True, exist_ok=True)
    conf_dir.mkdir(parents=True, exist_ok=True)
    build_client(bin_dir / PLUGIN)
    _copy(bin_dir / PLUGIN, bin_dir / LOOPBACK)
    plugin = {"type": PLUGIN}
    conf = {"cniVersion": CNI_VERSION, "name": network, "plugins": [plugin]}
    part = conf_dir / (CONF_NAME + ".part")
    part.write_text(json.dumps(conf))
    part.replace(conf_dir / CONF_NAME)


def _copy(file: Path, name: Path) -> None:
    """Give `file` a second name; a hard link, so that /proc/self/exe stays in this folder."""
    part = name.with_name(name.name + ".part")
    part.unlink(missing_ok=True)
    os.link(file, part)
    part.replace(name)
    part.unlink(missing_ok=True)  # rename(2) does nothing where both are one file already
