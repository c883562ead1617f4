"""`ursa image`: container and VM images of this machine's nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ursa.cli.lifecycle import DataDir
from ursa.cli.output import say
from ursa.onebox import artifacts, containerd
from ursa.onebox.errors import UserError
from ursa.onebox.layout import data_dir_from, existing_cluster

app = typer.Typer(help="Images of this machine's nodes.", no_args_is_help=True)


@app.command("load")
def load(
    file: Annotated[Path, typer.Argument(help="A tar that `docker save` or OCI tools wrote.")],
    data_dir: DataDir = None,
) -> None:
    """Import a container image on every node."""
    if not file.is_file():
        raise UserError(f"{file} is no file: give a tar of an OCI layout or of `docker save`")
    cluster = existing_cluster(data_dir_from(data_dir))
    for node in cluster.nodes:
        fresh = containerd.import_image(node, file)
        say(f"{node.name}: {'imported' if fresh else 'has it already'}")


@app.command("build")
def build(
    name: Annotated[str, typer.Argument(help="pause, busybox or vm.")], data_dir: DataDir = None
) -> None:
    """Build one of the images that come without a registry, and give it to every node."""
    cluster = existing_cluster(data_dir_from(data_dir))
    built = artifacts.build_image(cluster.path("images"), name)
    if built.suffix == ".tar":
        for node in cluster.nodes:
            containerd.import_image(node, built)
    say(f"{name}: {built}")


@app.callback()
def main() -> None:
    """Images of this machine's nodes."""
