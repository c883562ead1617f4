"""`ursa net`: what the data plane does on this machine's nodes."""

from __future__ import annotations

from typing import NamedTuple

import typer

from ursa.cli.lifecycle import DataDir, OutputFormat
from ursa.cli.output import Output, show
from ursa.onebox.layout import data_dir_from, existing_cluster

app = typer.Typer(help="The data plane of this machine's nodes.", no_args_is_help=True)


class Drops(NamedTuple):
    node: str
    reason: str
    packets: int


COLUMNS = {
    "NODE": lambda row: row.node,
    "REASON": lambda row: row.reason,
    "PACKETS": lambda row: row.packets,
}


@app.command("drops")
def drops(output: OutputFormat = Output.TABLE, data_dir: DataDir = None) -> None:
    """Show how many packets each node dropped, by reason."""
    from ursa.mizar.drops import read_drops

    cluster = existing_cluster(data_dir_from(data_dir))
    rows = [
        Drops(node.name, reason, packets)
        for node in cluster.nodes
        for reason, packets in sorted(read_drops(node.bpffs).items())
    ]
    show(rows, COLUMNS, output)


@app.callback()
def main() -> None:
    """The data plane of this machine's nodes."""
