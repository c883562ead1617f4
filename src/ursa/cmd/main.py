"""`ursa`: dispatch to a process or to the CLI, importing only what that one needs."""

from __future__ import annotations

import gc
import importlib
import sys

PROCESSES = {
    "apiserver": "the API server",
    "scheduler": "the scheduler",
    "controllers": "the controller manager",
    "agent": "the node agent",
    "vmruntime": "the VM runtime server (CRI)",
    "alcor": "the network controller",
    "netd": "the node's network daemon: control agent, transit daemon, CNI server",
    "transitd": "Mizar's transit daemon alone, without Alcor",
    "supervisor": "the onebox's supervisor",
}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in PROCESSES:
        gc.disable()  # what imports make is no garbage: collecting costs 5 % of a start
        module = importlib.import_module(f"ursa.cmd.{name}")
        gc.freeze()
        gc.enable()
        module.main(sys.argv[2:])
    else:
        from ursa.cli.main import app

        app()
