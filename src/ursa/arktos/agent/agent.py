"""The agent: one task for each pod of this node, whether the API wants it or a runtime has it.

    Lister (spec.nodeName = this node) ─▶ update ─┐
    runtimes: list, exit events ──────▶ wake ─────┼─▶ PodTask, by uid
    a sandbox whose pod the API lacks ─▶ orphan ──┘   (taken down)

Everything is level-triggered: the list of each runtime is compared with the one before, and an
exit event only says that it is time to list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from ursa.arktos.agent import actions, cri, logs
from ursa.arktos.agent.cri import Kind, Runtime, RuntimeRefused, RuntimeUnavailable
from ursa.arktos.agent.events import exits
from ursa.arktos.agent.host import Host
from ursa.arktos.agent.node import NodeKeeper, RuntimeHealth
from ursa.arktos.agent.pod import PodTask
from ursa.arktos.agent.podconfig import ANNOTATION_GRACE
from ursa.base.errors import ApiError
from ursa.client.key import Key
from ursa.client.lister import Lister
from ursa.kinds.part import ObjectMeta
from ursa.kinds.pod import Pod, PodSpec

log = logging.getLogger(__name__)

RELIST_S: Final = 2.0  # how late an unannounced change is seen; a list of 100 pods takes 2 ms
RELIST_MIN_S: Final = 0.05  # many pods that end at once are seen by a few lists
RELIST_DOWN_S: Final = 0.25  # while the runtime does not answer
HEALTH_S: Final = 5.0
ROTATE_S: Final = 10.0  # how often logs are measured
ORPHAN_GRACE_S: Final = 30

Fingerprint = tuple[tuple[str, str], ...]  # (id, state) of all that a runtime holds of a pod


@dataclass(slots=True)
class _Seen:
    """A runtime at its last list."""

    pods: dict[str, Fingerprint] = field(default_factory=dict)
    listed: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Agent:
    def __init__(
        self, host: Host, runtimes: Sequence[Runtime], pods: Lister[Pod], keeper: NodeKeeper
    ) -> None:
        self._host = host
        self._runtimes = runtimes
        self._pods = pods
        self._keeper = keeper
        self._tasks: dict[str, PodTask] = {}
        self._seen = {runtime.name: _Seen() for runtime in runtimes}

    def task(self, key: Key) -> PodTask | None:
        """Return the task of the pod that the API has under `key`."""
        pod = self._pods.get(key)
        return self._tasks.get(pod.metadata.uid) if pod else None

    async def run(self) -> None:
        """Run until cancelled. Pods run on when it ends."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keeper.run())
            group.create_task(self._host.events.run())
            group.create_task(self._pods.run())
            for runtime in self._runtimes:
                group.create_task(self._watch_health(runtime))
            await self._pods.synced()
            self._pods.on_change(partial(self._on_change, group))
            for runtime in self._runtimes:
                group.create_task(self._watch(group, runtime))
                if runtime.kind == Kind.CONTAINER:
                    group.create_task(self._watch_exits(runtime))
            group.create_task(self._rotate_logs())

    # Pods of the API

    def _on_change(
        self, group: asyncio.TaskGroup, key: Key, before: Pod | None, after: Pod | None
    ) -> None:
        replaced = before is not None and (
            after is None or after.metadata.uid != before.metadata.uid
        )
        if before is not None and replaced and (old := self._tasks.get(before.metadata.uid)):
            old.update(None)
        if after is None:
            return
        if task := self._tasks.get(after.metadata.uid):
            task.update(after)
            return
        runtime = self._runtime_for(after)
        if runtime is None:
            group.create_task(self._refuse(after))
        else:
            self._begin(group, PodTask(self._host, runtime, after))

    def _runtime_for(self, pod: Pod) -> Runtime | None:
        kind = Kind.VM if pod.spec.virtual_machine is not None else Kind.CONTAINER
        return next((r for r in self._runtimes if r.kind == kind), None)

    async def _refuse(self, pod: Pod) -> None:
        """Say that no runtime can take the pod; let it go when it is deleted."""
        if pod.metadata.deletion_timestamp is None:
            message = f"node {self._host.node_name} has no runtime for this kind of pod"
            self._host.events.warning(pod, "FailedCreatePodSandBox", message)
            return
        try:
            await self._host.client.delete(pod, missing_ok=True, grace_period_s=0)
        except ApiError as fault:
            log.warning("pod not deleted", extra={"pod": pod.metadata.name, "error": str(fault)})

    def _begin(self, group: asyncio.TaskGroup, task: PodTask) -> None:
        self._tasks[task.uid] = task
        group.create_task(self._run_pod(task))

    async def _run_pod(self, task: PodTask) -> None:
        try:
            await task.run()
        finally:
            del self._tasks[task.uid]

    # Pods of the runtimes

    async def _watch(self, group: asyncio.TaskGroup, runtime: Runtime) -> None:
        """List the runtime again and again; wake the pods whose part of the list changed."""
        seen = self._seen[runtime.name]
        while True:
            seen.wake.clear()
            delay_s = RELIST_S
            try:
                sandboxes, containers = await runtime.pods()
            except RuntimeUnavailable:
                delay_s = RELIST_DOWN_S
            except RuntimeRefused as refused:
                log.warning("list refused", extra={"runtime": runtime.name, "error": str(refused)})
            else:
                self._compare(group, runtime, sandboxes, containers)
            await asyncio.sleep(RELIST_MIN_S)
            try:
                async with asyncio.timeout(delay_s):
                    await seen.wake.wait()
            except TimeoutError:
                pass

    def _compare(
        self,
        group: asyncio.TaskGroup,
        runtime: Runtime,
        sandboxes: Sequence[cri.Sandbox],
        containers: Sequence[cri.Container],
    ) -> None:
        seen = self._seen[runtime.name]
        fresh = fingerprints(sandboxes, containers)
        for uid in fresh.keys() | seen.pods.keys():
            if fresh.get(uid) != seen.pods.get(uid) and (task := self._tasks.get(uid)):
                task.wake()
        seen.pods = fresh
        for sandbox in sandboxes:
            if sandbox.pod.uid not in self._tasks:
                log.info("orphan found", extra={"pod": sandbox.pod.name, "uid": sandbox.pod.uid})
                self._begin(group, PodTask(self._host, runtime, orphan_of(sandbox), orphan=True))
        if not seen.listed:
            seen.listed = True
            if all(other.listed for other in self._seen.values()):
                group.create_task(self._sweep())

    async def _sweep(self) -> None:
        """Remove folders and cgroups of pods that neither the API nor a runtime knows."""
        folders = await asyncio.to_thread(_names, self._host)
        for uid in folders - self._tasks.keys():
            try:
                await asyncio.to_thread(
                    actions.clean_up, self._host.pod_dir(uid), self._host.pod_cgroup(uid)
                )
            except actions.Retry as retry:
                log.warning("remains of a pod stay", extra={"uid": uid, "error": str(retry)})

    async def _watch_exits(self, runtime: Runtime) -> None:
        while True:
            try:
                async for _ in exits(runtime):
                    self._seen[runtime.name].wake.set()
            except RuntimeUnavailable:
                await asyncio.sleep(RELIST_DOWN_S)

    async def _watch_health(self, runtime: Runtime) -> None:
        version = ""
        while True:
            try:
                faults = tuple(await runtime.faults())
                version = version or await runtime.version()
            except RuntimeUnavailable:  # its words vary, and each would be a write
                faults = (f"runtime {runtime.name} does not answer at {runtime.endpoint}",)
            except RuntimeRefused as refused:
                faults = (str(refused),)
            self._keeper.report(runtime.name, RuntimeHealth(runtime.kind, faults, version))
            await asyncio.sleep(RELIST_DOWN_S if faults else HEALTH_S)

    # Logs

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(ROTATE_S)
            for task in [*self._tasks.values()]:
                await self._rotate_of(task)

    async def _rotate_of(self, task: PodTask) -> None:
        for container in task.facts.containers:
            if container.state != cri.State.RUNNING:
                continue
            folder = self._host.pod_dir(task.uid)
            path = logs.path_of(folder, container.name, container.attempt)
            stamp = f"{self._host.clock.now_s():.6f}"
            if await asyncio.to_thread(logs.rotate_if_large, path, stamp):
                try:
                    await task.runtime.reopen_log(container.id)
                except (RuntimeUnavailable, RuntimeRefused) as fault:
                    log.warning("log not reopened", extra={"uid": task.uid, "error": str(fault)})


def fingerprints(
    sandboxes: Sequence[cri.Sandbox], containers: Sequence[cri.Container]
) -> dict[str, Fingerprint]:
    """Return what a list says of each pod, in a form that compares."""
    uids: Mapping[str, str] = {s.id: s.pod.uid for s in sandboxes}
    found: dict[str, list[tuple[str, str]]] = {}
    for sandbox in sandboxes:
        found.setdefault(sandbox.pod.uid, []).append((sandbox.id, str(sandbox.ready)))
    for container in containers:
        uid = uids.get(container.sandbox_id)
        if uid is not None:
            found[uid].append((container.id, container.state))
    return {uid: tuple(sorted(parts)) for uid, parts in found.items()}


def orphan_of(sandbox: cri.Sandbox) -> Pod:
    """Return as much of a pod as its sandbox tells: enough to take it down."""
    ref = sandbox.pod
    grace = (sandbox.annotations or {}).get(ANNOTATION_GRACE, "")
    return Pod(
        metadata=ObjectMeta(tenant=ref.tenant, namespace=ref.namespace, name=ref.name, uid=ref.uid),
        spec=PodSpec(
            termination_grace_period_seconds=int(grace) if grace.isdigit() else ORPHAN_GRACE_S
        ),
    )


def _names(host: Host) -> set[str]:
    folder = host.pods_dir
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()
