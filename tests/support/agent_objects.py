"""Builders for tests of the node agent: pods, and what a runtime shows of them."""

from __future__ import annotations

from typing import Any

import msgspec

from ursa.arktos.agent import cri
from ursa.arktos.agent.facts import Facts, Health, Notes
from ursa.arktos.agent.podstate import ANNOTATION_CRASHES
from ursa.kinds.pod import Pod

NOW_S = 1_800_000_000.0
SANDBOX = "sandbox-0"


def pod(**spec: Any) -> Pod:
    """Return a pod of one container `main`, its spec's fields in wire form."""
    metadata = {k: spec.pop(k) for k in ("name", "uid", "labels") if k in spec}
    status = spec.pop("status", {"phase": "Pending"})
    if "virtualMachine" not in spec:
        spec.setdefault("containers", [{"name": "main", "image": "busybox"}])
    document = {
        "metadata": {"name": "web", "namespace": "dev", "tenant": "acme", "uid": "u-1"} | metadata,
        "spec": {"nodeName": "node-1"} | spec,
        "status": status,
    }
    return msgspec.convert(document, Pod)


def sandbox(*, ready: bool = True, attempt: int = 0, id: str = SANDBOX) -> cri.Sandbox:
    ref = cri.PodRef("acme", "dev", "web", "u-1")
    return cri.Sandbox(id, ref, attempt, ready, attempt, ip="10.0.0.5", netns="/run/netns/x")


def container(
    state: str = "running",
    *,
    name: str = "main",
    attempt: int = 0,
    exit_code: int = 0,
    ran_s: float = 1.0,
    ended_s_ago: float = 0.0,
    crashes: int = 0,
    sandbox_id: str = SANDBOX,
) -> cri.Container:
    finished_ns = int((NOW_S - ended_s_ago) * 1e9)
    ended = state == "exited"
    return cri.Container(
        id=f"{name}-{attempt}",
        sandbox_id=sandbox_id,
        name=name,
        attempt=attempt,
        state=cri.State(state),
        created_at_ns=attempt,
        image="docker.io/library/busybox:latest",
        image_ref="sha256:1",
        started_at_ns=finished_ns - int(ran_s * 1e9) if state != "created" else 0,
        finished_at_ns=finished_ns if ended else 0,
        exit_code=exit_code,
        annotations={ANNOTATION_CRASHES: str(crashes)},
    )


def facts(*containers: cri.Container, sandboxes: tuple[cri.Sandbox, ...] | None = None) -> Facts:
    return Facts((sandbox(),) if sandboxes is None else sandboxes, containers)


def notes(**fields: Any) -> Notes:
    healthy = {f"{n}-{a}": Health() for n in ("main", "side", "init") for a in range(9)}
    return Notes(**({"now_s": NOW_S, "health": healthy} | fields))
