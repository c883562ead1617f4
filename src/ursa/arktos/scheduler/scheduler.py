"""The loop: pending pods in, bindings out.

    pods' watch ──▶ queue ──▶ place ──▶ assume ──▶ POST binding      (many at a time)
                      ▲          │ NoFit: condition and event, parked
                      └──────────┘ when there is room, not before its back-off

Nothing is remembered that is not read again from the API server after a restart: a pod is
pending as long as it has no node. Binding is the one write that counts, and the server takes it
once; a scheduler that was slow, or a second one, is told Conflict.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from ursa.arktos.scheduler.cluster import Cluster
from ursa.arktos.scheduler.place import NoFit
from ursa.base.clock import Clock, rfc3339
from ursa.base.errors import ApiError
from ursa.client import Client, Key, Lister, Recorder, key_of
from ursa.kinds.namespace import Namespace
from ursa.kinds.node import Node
from ursa.kinds.pod import Pod

log = logging.getLogger(__name__)

SCHEDULER_NAMES = ("", "default-scheduler")
BINDS_MAX = 64  # requests under way; beyond this the API server gains nothing
BATCH_PODS = 100  # placed between two turns of the loop: about 10 ms
BACKOFF_MIN_S, BACKOFF_MAX_S = 1.0, 10.0  # Kubernetes' for unschedulable pods
IDLE_RETRY_S = 300.0  # a parked pod is looked at again even if nothing seems to have changed


class Parked(NamedTuple):
    attempts: int
    retry_at: float  # loop time
    timer: asyncio.TimerHandle


class Scheduler:
    """The listers are run by the caller; `run` returns when cancelled."""

    def __init__(
        self,
        client: Client,
        pods: Lister[Pod],
        nodes: Lister[Node],
        namespaces: Lister[Namespace],
        clock: Clock,
    ) -> None:
        self._client = client
        self._pods = pods
        self._clock = clock
        self._recorder = Recorder(client, "default-scheduler", clock)
        self._cluster = Cluster(on_room=self._room)
        self._queue: dict[Key, None] = {}  # a set in order of arrival
        self._arrived = asyncio.Event()
        self._attempts: dict[Key, int] = {}  # failures in a row
        self._parked: dict[Key, Parked] = {}
        self._binds = asyncio.Semaphore(BINDS_MAX)
        nodes.on_change(self._cluster.node_changed)
        namespaces.on_change(self._cluster.namespace_changed)
        pods.on_change(self._pod_changed)

    async def run(self) -> None:
        """Place what is pending until cancelled. The listers must have synced."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                for pod in self._batch():
                    self._schedule(pod, tasks)
                if self._queue:
                    self._arrived.set()
                await asyncio.sleep(0)  # bindings go out before the next batch is placed

    def _batch(self) -> list[Pod]:
        """Take the next pods from the queue, the most important first."""
        pods = [pod for key in self._queue if (pod := self._pods.get(key)) and is_pending(pod)]
        self._queue = dict.fromkeys(key_of(pod) for pod in pods)
        pods.sort(key=lambda pod: -(pod.spec.priority or 0))
        batch = pods[:BATCH_PODS]
        for pod in batch:
            del self._queue[key_of(pod)]
        return batch

    def _schedule(self, pod: Pod, tasks: asyncio.TaskGroup) -> None:
        try:
            outcome = self._cluster.place(pod)
        except ValueError as fault:  # rules that the API server should have refused
            log.error("pod unreadable", extra={"key": str(key_of(pod)), "error": str(fault)})
            self._park(pod)
            tasks.create_task(self._refuse(pod, f"the pod's rules cannot be read: {fault}"))
            return
        if isinstance(outcome, NoFit):
            self._park(pod)
            tasks.create_task(self._refuse(pod, str(outcome)))
        else:
            self._cluster.assume(pod, outcome)
            tasks.create_task(self._bind(pod, outcome))

    async def _bind(self, pod: Pod, node: str) -> None:
        key = key_of(pod)
        try:
            async with self._binds:
                await self._client.bind(pod, node)
        except ApiError as fault:  # bound or deleted meanwhile, or no server: look again
            log.warning("not bound", extra={"key": str(key), "node": node, "error": str(fault)})
            self._cluster.forget(pod)
            current = self._pods.get(key)
            if current is not None and is_pending(current):
                self._park(current)
                self._room()
            return
        log.info("bound", extra={"key": str(key), "node": node})
        self._attempts.pop(key, None)
        message = f"Successfully assigned {key.namespace}/{key.name} to {node}"
        await self._recorder.event(pod, "Normal", "Scheduled", message)

    async def _refuse(self, pod: Pod, message: str) -> None:
        """Tell the pod's user why it waits: by a condition, and by an event."""
        log.info("unschedulable", extra={"key": str(key_of(pod)), "error": message})
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": rfc3339(self._clock.now_s()),
        }
        shown = (c for c in pod.status.conditions if c.type == "PodScheduled")
        if not any((c.status, c.message) == ("False", message) for c in shown):
            body = {"status": {"conditions": [condition]}}
            try:
                await self._client.patch(Pod, pod, body, subresource="status", kind="strategic")
            except ApiError as fault:  # the next attempt says it again
                extra = {"key": str(key_of(pod)), "error": str(fault)}
                log.warning("condition not written", extra=extra)
        await self._recorder.event(pod, "Warning", "FailedScheduling", message)

    def _pod_changed(self, key: Key, before: Pod | None, after: Pod | None) -> None:
        self._cluster.pod_changed(key, before, after)
        if after is None or not is_pending(after):
            self._queue.pop(key, None)
            self._unpark(key)
            self._attempts.pop(key, None)
        elif self._cluster.is_assumed(key):
            return
        elif key not in self._parked or before is None or _asks_anew(before, after):
            self._enqueue(key)

    def _enqueue(self, key: Key) -> None:
        self._unpark(key)
        self._queue[key] = None
        self._arrived.set()

    def _park(self, pod: Pod) -> None:
        """Set the pod aside until there is room, at least for its back-off."""
        key, loop = key_of(pod), asyncio.get_running_loop()
        self._unpark(key)
        attempts = self._attempts[key] = self._attempts.get(key, 0) + 1
        timer = loop.call_later(IDLE_RETRY_S, self._enqueue, key)
        self._parked[key] = Parked(attempts, loop.time() + backoff_s(attempts), timer)

    def _unpark(self, key: Key) -> None:
        if (parked := self._parked.pop(key, None)) is not None:
            parked.timer.cancel()

    def _room(self) -> None:
        """Look at every parked pod again once its back-off is over."""
        loop = asyncio.get_running_loop()
        for key, parked in self._parked.items():
            if parked.timer.when() > parked.retry_at:
                parked.timer.cancel()
                when = max(parked.retry_at, loop.time())
                timer = loop.call_at(when, self._enqueue, key)
                self._parked[key] = parked._replace(timer=timer)


def backoff_s(attempts: int) -> float:
    return min(BACKOFF_MIN_S * 2.0 ** min(attempts - 1, 10), BACKOFF_MAX_S)


def is_pending(pod: Pod) -> bool:
    """Return whether the pod waits for this scheduler."""
    return (
        not pod.spec.node_name
        and pod.is_active
        and pod.spec.scheduler_name in SCHEDULER_NAMES
        and not pod.spec.scheduling_gates
    )


def _asks_anew(before: Pod, after: Pod) -> bool:
    """Return whether a parked pod has changed in what it asks for, not in its status alone."""
    return (
        before.spec != after.spec
        or before.metadata.labels != after.metadata.labels
        or before.metadata.uid != after.metadata.uid
    )
