"""The supervisor's process."""

from __future__ import annotations

import argparse
from pathlib import Path

from ursa.base.config import Config, load
from ursa.cmd.run import run
from ursa.onebox.components import components
from ursa.onebox.layout import existing_cluster
from ursa.onebox.supervisor import Supervisor


class SupervisorConfig(Config):
    data_dir: str


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="ursa supervisor")
    parser.add_argument("--config", required=True)
    config = load(SupervisorConfig, parser.parse_args(argv).config)
    cluster = existing_cluster(Path(config.data_dir))
    run(Supervisor(cluster, components(cluster)).run)
