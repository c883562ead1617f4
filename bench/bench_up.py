"""How long does `ursa up` take, and what does an idle cloud weigh?

up_s is wall time from the command to its return on an installed machine, data directory empty;
up_after_kill_s the same after kill -9 of everything (processes, namespaces, mounts) with 20
pods, until the command returns. Weights are PSS, so a page that processes share counts once;
`component` names the process. Budget: SPECIFICATION.md, "The onebox".
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cloud import Cloud, cloud, until
from harness import emit, machine

RUNS = 7
PODS = 20
CONTROL = ("apiserver", "scheduler", "controllers", "alcor", "supervisor")


def pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    raise AssertionError(f"process {pid} has no Pss line")


def weigh(running: Cloud) -> dict[str, float]:
    return {c["name"]: pss_mb(c["pid"]) for c in running.status()["components"]}


def time_up(running: Cloud) -> float:
    began_s = time.monotonic()
    running.up()
    return time.monotonic() - began_s


def main() -> None:
    ups: list[float] = []
    with cloud() as running:
        for _ in range(RUNS):
            running.ursa("down", "--purge")
            ups.append(time_up(running))
        emit("up_s", ups, "s")
        weights = weigh(running)
        for name, mb in sorted(weights.items()):
            emit("rss_mb", [mb], "MB", component=name)
        emit("control_rss_mb", [sum(weights[name] for name in CONTROL)], "MB")
        node = sum(mb for name, mb in weights.items() if is_of_node(name, "node-1"))
        emit("node_rss_mb", [node], "MB", component="node-1")
        emit("up_after_kill_s", after_kill(running), "s")
    machine()


def is_of_node(component: str, node: str) -> bool:
    return component.endswith(f"-{node}") and not component.startswith("containerd")


def after_kill(running: Cloud) -> list[float]:
    running.kubectl(
        "create",
        "deployment",
        "many",
        "--image=busybox",
        f"--replicas={PODS}",
        "--",
        "sleep",
        "9999",
    )
    until(lambda: ready(running) == PODS, timeout_s=120)
    times = []
    for _ in range(3):
        running.kill_everything()
        times.append(time_up(running))
        until(lambda: ready(running) == PODS, timeout_s=120)
    return times


def ready(running: Cloud) -> int:
    return int(running.get("deployment", "many")["status"].get("readyReplicas", 0))


if __name__ == "__main__":
    sys.exit(main())
