"""`ursa test` and `ursa bench`: what developers and CI run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import typer

from ursa.cli.output import say
from ursa.onebox import packages, preflight
from ursa.onebox.errors import UserError

CHECKS = (
    ("format", ("ruff", "format", "--no-cache", "--check", "-q", ".")),
    ("lint", ("ruff", "check", "--no-cache", "-q", ".")),
    ("types", ("mypy", "src")),
    ("imports", ("lint-imports",)),
)


def repository() -> Path:
    """Return the checkout that this command runs from. UserError outside one."""
    path = Path(os.environ.get("URSA_ROOT", ""))
    if not (path / "pyproject.toml").exists():
        raise UserError("not in a checkout: run ./ursa from the repository")
    return path


def test(context: typer.Context) -> None:
    """Run every check and test; words after `test` go to pytest.

    Needs root; closes with `N passed, N failed, N skipped`.
    """
    preflight.check_root()
    packages.install(packages.missing(packages.RUNTIME | packages.DEVELOPMENT))
    root = repository()
    for name, command in () if context.args else CHECKS:
        say(f"== {name}")
        program = Path(sys.prefix, "bin", command[0])
        if subprocess.run([program, *command[1:]], cwd=root, check=False).returncode != 0:
            raise UserError(f"{name} failed: see above")
    say("== tests")
    program = Path(sys.prefix, "bin", "pytest")
    os.chdir(root)
    os.execv(program, [str(program), "-p", "closing", *context.args])


def bench(context: typer.Context) -> None:
    """Run a benchmark of bench/: `ursa bench NAME [--json]`."""
    root = repository()
    names = sorted(path.stem.removeprefix("bench_") for path in root.glob("bench/bench_*.py"))
    if not context.args or context.args[0] not in names:
        raise UserError(f"name a benchmark: {', '.join(names)}")
    preflight.check_root()
    packages.install(packages.missing(packages.RUNTIME | packages.DEVELOPMENT))
    script = root / "bench" / f"bench_{context.args[0]}.py"
    folders = (root / "src", root / "bench", root / "tests" / "support")
    environment = os.environ | {"PYTHONPATH": ":".join(map(str, folders))}
    os.execve(sys.executable, [sys.executable, str(script), *context.args[1:]], environment)
