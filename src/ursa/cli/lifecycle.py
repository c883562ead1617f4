"""`ursa up`, `down`, `status`, `logs`: the life of the cluster on this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from ursa.cli.output import Output, duration, say
from ursa.onebox import health
from ursa.onebox.components import components
from ursa.onebox.errors import UserError
from ursa.onebox.layout import (
    DEFAULT_NODES,
    DEFAULT_PORT,
    Cluster,
    data_dir_from,
    existing_cluster,
    load_cluster,
    locked,
)
from ursa.onebox.preflight import check_root

DataDir = Annotated[
    str | None,
    typer.Option("--data-dir", envvar="URSA_DATA_DIR", help="Where the cluster lives."),
]
OutputFormat = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]

FOLLOW_POLL_S = 0.2


def _report(step: str, seconds: float) -> None:
    say(f"  {step:<28} {seconds:6.2f} s")


def up(
    nodes: Annotated[
        int | None, typer.Option(help=f"Nodes of a new cluster; {DEFAULT_NODES} by default.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help=f"The API server's port; {DEFAULT_PORT} by default.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Bring the cloud up on this machine; install and build what is missing."""
    from ursa.onebox import cluster as onebox  # its imports are most of a command's start

    directory = data_dir_from(data_dir)
    began_s = time.monotonic()
    with locked(directory):
        saved = load_cluster(directory)
        running = onebox.up(
            directory,
            port=port or (saved.port if saved else DEFAULT_PORT),
            nodes=nodes or (saved.node_count if saved else DEFAULT_NODES),
            report=_report,
        )
    say(f"ready in {time.monotonic() - began_s:.1f} s: {running.local_url}")
    say(f'next: eval "$(./ursa env{_option(directory, data_dir)})"; kubectl get nodes')


def _option(directory: Path, named: str | None) -> str:
    return f" --data-dir {directory}" if named else ""


def down(
    purge: Annotated[bool, typer.Option("--purge", help="Remove the data as well.")] = False,
    data_dir: DataDir = None,
) -> None:
    """End every process and remove all that was made; the data stays unless --purge."""
    from ursa.onebox import cluster as onebox

    directory = data_dir_from(data_dir)
    if load_cluster(directory) is None:
        say(f"no cluster in {directory}: nothing to do")
        return
    check_root()
    with locked(directory):
        onebox.down(existing_cluster(directory), purge=purge, report=_report)
    say("down")


COLUMNS = {
    "COMPONENT": lambda row: row.name,
    "STATE": lambda row: row.state,
    "PID": lambda row: row.pid,
    "UPTIME": lambda row: duration(row.uptime_s) if row.pid else None,
    "RESTARTS": lambda row: row.restarts,
    "LAST EXIT": lambda row: row.last_exit,
    "LOG": lambda row: str(row.log),
}


def status(output: OutputFormat = Output.TABLE, data_dir: DataDir = None) -> None:
    """Show every component, and the nodes and pods if the API server answers.

    Exits with 1 unless every component is ready.
    """
    from ursa.cli.overview import overview

    cluster = existing_cluster(data_dir_from(data_dir))
    rows = health.status(cluster)
    overview(cluster, rows, COLUMNS, output)
    if any(row.state != "Ready" for row in rows):
        raise typer.Exit(1)


def logs(
    component: Annotated[str, typer.Argument(help="A name that `ursa status` shows.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Print a component's log."""
    cluster = existing_cluster(data_dir_from(data_dir))
    file = _log_file(cluster, component)
    with file.open(errors="replace") as lines:
        while True:
            for line in lines:
                print(line, end="", flush=follow)
            if not follow:
                return
            if os.stat(file).st_size < lines.tell():  # rotated
                lines.seek(0)
            time.sleep(FOLLOW_POLL_S)


def _log_file(cluster: Cluster, component: str) -> Path:
    names = ["supervisor", *(part.name for part in components(cluster))]
    if component not in names:
        raise UserError(f"no component {component!r}: there are {', '.join(names)}")
    file = cluster.log(component)
    if not file.exists():
        raise UserError(f"{component} has no log yet: {file} does not exist")
    return file
