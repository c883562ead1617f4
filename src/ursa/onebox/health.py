"""What is true of every component now, asked of the kernel: the supervisor may be dead."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ursa.onebox.components import components
from ursa.onebox.layout import Cluster
from ursa.onebox.process import is_alive
from ursa.onebox.supervisor import read_state


@dataclass(frozen=True, slots=True)
class Health:
    """One row of `ursa status`."""

    name: str
    pid: int | None
    state: str  # Ready, Starting, BackOff, Dead
    uptime_s: float
    restarts: int
    last_exit: str
    log: Path


def health(cluster: Cluster, name: str, ready: Path | None) -> Health:
    """Return what is true of a component now; asks the kernel, not the supervisor."""
    state = read_state(cluster, name)
    alive = state.process is not None and is_alive(state.process)
    if alive:
        word = "Ready" if ready is None or ready.exists() else "Starting"
    else:
        word = "BackOff" if state.next_start_at > time.time() else "Dead"
    return Health(
        name=name,
        pid=state.process.pid if alive and state.process else None,
        state=word,
        uptime_s=time.time() - state.started_at if alive else 0.0,
        restarts=state.restarts,
        last_exit=state.last_exit,
        log=cluster.log(name),
    )


def status(cluster: Cluster) -> list[Health]:
    rows = [health(cluster, "supervisor", None)]
    return rows + [health(cluster, part.name, part.ready) for part in components(cluster)]
