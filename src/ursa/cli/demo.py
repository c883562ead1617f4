"""`ursa demo`: two tenants with one CIDR, containers and VMs on both nodes, proved by traffic."""

from __future__ import annotations

import time

import typer

from ursa.cli.kube import admin_kubeconfig
from ursa.cli.lifecycle import DataDir
from ursa.cli.output import say, show
from ursa.onebox.layout import data_dir_from, existing_cluster

COLUMNS = {
    "TENANT": lambda row: row.tenant,
    "POD": lambda row: row.name,
    "KIND": lambda row: row.kind,
    "NODE": lambda row: row.node,
    "ADDRESS": lambda row: row.address,
}


def demo(data_dir: DataDir = None) -> None:
    """Show two tenants talking within and not across; exits with 1 if any of it is untrue."""
    from ursa.onebox.demo import Demo

    cluster = existing_cluster(data_dir_from(data_dir))
    began_s = time.monotonic()
    play = Demo(cluster, admin_kubeconfig(cluster), say)
    play.prepare()
    show(play.places(), COLUMNS)
    untrue = [check for check in play.checks() if not check.holds]
    verdict = f"{len(untrue)} untrue" if untrue else "all true"
    say(f"{verdict}, {time.monotonic() - began_s:.0f} s")
    if untrue:
        raise typer.Exit(1)
