"""Compile the BPF programs with clang, once per content of their sources.

Objects land in a directory named by a hash of sources and command, so that several versions
lie side by side and a half-written one is never seen.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent
PROGRAMS = ("agent", "transit")
CLANG = (
    "clang",
    *("-target", "bpf", "-mcpu=v3", "-O2", "-g"),
    *("-Wall", "-Wextra", "-Werror"),
    # asm/types.h lies in a directory per architecture on Debian.
    *("-I", f"/usr/include/{platform.machine()}-linux-gnu"),
)


class BuildError(Exception):
    """The programs cannot be compiled; the message is the compiler's, or names what is missing."""


def build_objects(out_dir: Path) -> Path:
    """Return the directory, below `out_dir`, that holds <program>.bpf.o; compile what is missing.

    Blocking, about 1 s if nothing is there yet. BuildError if clang or headers are missing.
    """
    objects = out_dir / f"bpf-{content_hash()}"
    if objects.is_dir():
        return objects
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix=".bpf-") as scratch:
        whole = Path(scratch) / "objects"
        whole.mkdir()
        for program in PROGRAMS:
            _compile(SOURCES / f"{program}.bpf.c", whole / f"{program}.bpf.o")
        try:
            whole.rename(objects)
        except OSError:
            if not objects.is_dir():  # else another build was faster; its objects are the same
                raise
    return objects


def content_hash() -> str:
    digest = hashlib.sha256(" ".join(CLANG).encode())
    for source in sorted([*SOURCES.glob("*.bpf.c"), *SOURCES.glob("lib/*.h")]):
        digest.update(f"\0{source.name}\0".encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _compile(source: Path, target: Path) -> None:
    # Stripped of DWARF, which holds paths; BTF stays.
    _run([*CLANG, "-c", str(source), "-o", str(target)])
    _run(["llvm-strip", "-g", str(target)])


def _run(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        raise BuildError(f"{command[0]} is not installed: run 'apt-get install clang llvm'")
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"}
    )
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}: {done.stderr.strip()}")
