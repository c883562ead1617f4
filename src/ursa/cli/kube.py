"""`ursa kubectl`, `kubeconfig`, `env`: the way to the cluster for Kubernetes' own tools."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ursa.cli.lifecycle import DataDir
from ursa.cli.output import say
from ursa.onebox import tools
from ursa.onebox.errors import UserError
from ursa.onebox.layout import Cluster, data_dir_from, existing_cluster, write_atomic


def admin_kubeconfig(cluster: Cluster) -> Path:
    """Return the operator's kubeconfig, written if it is missing."""
    path = cluster.path("admin.kubeconfig")
    if not path.exists():
        from ursa.onebox import identities  # X.509 is most of a command's start

        write_private(path, identities.kubeconfig(cluster, tenant=None, user="admin"))
    return path


def write_private(path: Path, text: str) -> None:
    old = os.umask(0o077)
    try:
        write_atomic(path, text.encode())
    finally:
        os.umask(old)


def env(data_dir: DataDir = None) -> None:
    """Print shell commands that set KUBECONFIG, and PATH where kubectl is missing.

    Use: eval "$(./ursa env)"
    """
    cluster = existing_cluster(data_dir_from(data_dir))
    print(f"export KUBECONFIG={shlex.quote(str(admin_kubeconfig(cluster)))}")
    print(f"export URSA_DATA_DIR={shlex.quote(str(cluster.data_dir))}")
    if shutil.which("kubectl") is None:
        print(f'export PATH={shlex.quote(str(tools.kubectl().parent))}:"$PATH"')


def kubeconfig(
    tenant: Annotated[str | None, typer.Option(help="A tenant; the operator if not given.")] = None,
    user: Annotated[str, typer.Option(help="The user inside the tenant.")] = "admin",
    merge: Annotated[bool, typer.Option("--merge", help="Into ~/.kube/config instead.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Print a kubeconfig with a fresh certificate for a user of a tenant."""
    from ursa.onebox import identities

    cluster = existing_cluster(data_dir_from(data_dir))
    if tenant is None and user != "admin":
        raise UserError(f"--user {user} needs --tenant: the operator's user is admin")
    text = identities.kubeconfig(cluster, tenant=tenant, user=user)
    if merge:
        _merge(text)
    else:
        print(text, end="")


def _merge(text: str) -> None:
    target = Path(os.environ.get("KUBECONFIG", "").split(":")[0] or Path.home() / ".kube/config")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as added:
        added.write(text)
        added.flush()
        environment = os.environ | {"KUBECONFIG": f"{added.name}:{target}"}
        merged = subprocess.run(
            [tools.kubectl(), "config", "view", "--flatten"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if merged.returncode != 0:
        raise UserError(f"cannot merge into {target}: {merged.stderr.strip()}")
    write_private(target, merged.stdout)
    say(f"merged into {target}; its current context is the new one")


def kubectl(context: typer.Context) -> None:
    """Run a real kubectl as the operator (or with the KUBECONFIG that is set)."""
    words = sys.argv[2:]  # as typed: the parser would eat a `--`
    environment = dict(os.environ)
    if "KUBECONFIG" not in environment and "--kubeconfig" not in " ".join(words):
        cluster = existing_cluster(data_dir_from(None))
        environment["KUBECONFIG"] = str(admin_kubeconfig(cluster))
    program = tools.kubectl()
    sys.stdout.flush()
    os.execve(program, [str(program), *words], environment)
