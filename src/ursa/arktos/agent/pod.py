"""The task of one pod: look, decide (`podstate.step`), act; until the pod is gone.

    API watch ─┐
    runtime ───┼─ wake ─▶ observe ─▶ step ─▶ actions, each in its slot ─▶ wake
    probes ────┘              └────▶ status, if it changed

Nothing that matters is kept here: killed at any point, a successor finds it in the API and the
runtime. When the pod must go, actions that wait for others (a pull, a hook) are given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from msgspec.structs import replace as changed

from ursa.arktos.agent import cri, images, podstate, volumes
from ursa.arktos.agent.actions import Actions, Retry
from ursa.arktos.agent.cri import RuntimeRefused, RuntimeUnavailable
from ursa.arktos.agent.facts import Facts, Notes, Waiting
from ursa.arktos.agent.health import HealthWatch
from ursa.arktos.agent.host import Host
from ursa.arktos.agent.moves import (
    Action,
    CreateSandbox,
    Forget,
    RemoveContainer,
    RemoveSandbox,
    StartContainer,
    StopContainer,
    StopSandbox,
)
from ursa.arktos.agent.observer import Observer
from ursa.arktos.agent.probe import Target
from ursa.arktos.agent.status import OWN_CONDITIONS, UNREACHABLE_S, pod_status
from ursa.base.errors import ApiError, Conflict, NotFound
from ursa.client.key import key_of
from ursa.kinds.container import Container
from ursa.kinds.pod import Pod, PodStatus

log = logging.getLogger(__name__)

RETRY_MIN_S: Final = 0.5  # of what is not a pull: a port that is late, a missing object
RETRY_MAX_S: Final = 10.0
STATUS_RETRY_S: Final = 1.0  # an API server that restarts is back in about that
UNREACHABLE_POLL_S: Final = 0.25  # a killed containerd is back in 0.1–0.6 s
PULL_ERROR_SHOWN_S: Final = 2.0  # ErrImagePull is shown this long, then ImagePullBackOff
REFRESH_S: Final = 20.0  # how old a mounted config map may be; Kubernetes allows 60 and more
STATUS_SLOT, REFRESH_SLOT = "status", "refresh"


@dataclass(frozen=True, slots=True)
class _Failure:
    waiting: Waiting
    since: float  # loop time
    until: float


class PodTask:
    """Give it the pod as it changes (`update`), wake it when its runtime has changed."""

    def __init__(self, host: Host, runtime: cri.Runtime, pod: Pod, *, orphan: bool = False) -> None:
        self.uid = pod.metadata.uid
        self.runtime = runtime
        self._host = host
        self._actions = Actions(host, runtime, self.uid)
        self._pod = pod  # newest from the API
        self._status = pod.status  # newest computed
        self._settled: tuple[PodStatus, str] | None = None  # last written, and its revision
        self._vanished = orphan
        self._going_since: float | None = None
        self._wake = asyncio.Event()
        self._stale = True  # the facts are older than the last change in the runtime
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, _Failure] = {}
        self._failed: Counter[str] = Counter()
        self._facts = Facts()
        self._observer = Observer(runtime, self.uid)
        self._messages: dict[str, str] = {}  # container id → its termination message
        self._unreachable_since: float | None = None
        self._refreshed = 0.0
        self._told: set[tuple[str, str]] = set()
        self._gone = False

    @property
    def pod(self) -> Pod:
        """The pod with its newest computed status."""
        return changed(self._pod, status=self._status)

    @property
    def facts(self) -> Facts:
        return self._facts

    def update(self, pod: Pod | None) -> None:
        """Take the pod as the API has it; None: the API has it no more."""
        if pod is None:
            self._vanished = True
        elif _revision(pod) <= _revision(self._pod):
            return
        else:
            less = _grace_s(pod) < _grace_s(self._pod)
            self._pod = pod
            if less:
                self._give_up(StopContainer)
        self._wake.set()

    def wake(self) -> None:
        """Look at the runtime again, then decide."""
        self._stale = True
        self._wake.set()

    async def run(self) -> None:
        """Run until the pod is gone from node and API."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._health = HealthWatch(tasks, self._wake.set, self._unhealthy)
            while not self._gone:
                self._wake.clear()
                look_again_s = await self._try_once()
                if not self._gone:
                    await self._wait(look_again_s)
            self._health.stop()
            for task in self._busy.values():
                task.cancel()

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _try_once(self) -> float | None:
        try:
            return await self._once()
        except Exception:  # a boundary: one pod that cannot be dealt with must not stop the others
            self._stale = True
            log.exception("pod not looked after", extra={"uid": self.uid})
            return RETRY_MAX_S

    async def _once(self) -> float | None:
        """Look, decide and set off; return when to look again at the latest."""
        self._begin_going()
        try:
            if self._stale:
                self._stale = False
                self._facts = await self._observer.look()
                self._note_messages()
            self._unreachable_since = None
        except RuntimeUnavailable:
            self._stale = True
            now = asyncio.get_running_loop().time()
            self._unreachable_since = self._unreachable_since or now
            self._report_status(self._notes())
            return UNREACHABLE_POLL_S
        except RuntimeRefused as refused:  # a container that went between list and look
            self._stale = True
            log.info("runtime looked at in passing", extra={"uid": self.uid, "error": str(refused)})
            return RETRY_MIN_S
        self._health.keep(self._targets())
        notes = self._notes()
        self._report_status(notes)
        step = podstate.step(self.pod, self._facts, notes)
        for action in step.actions:
            self._spawn(action.slot, partial(self._act, action), type(action).__name__)
        return self._soonest(step.look_again_s, self._refresh_if_due())

    def _begin_going(self) -> None:
        """Note when the pod began to go, and give up what only waits for others."""
        leaving = self._vanished or self._pod.metadata.deletion_timestamp is not None
        if leaving and self._going_since is None:
            self._going_since = asyncio.get_running_loop().time()
            self._give_up(StartContainer, CreateSandbox)

    def _give_up(self, *kinds: type) -> None:
        names = {kind.__name__ for kind in kinds}
        for task in self._busy.values():
            if task.get_name() in names:
                task.cancel()

    # Looking

    def _note_messages(self) -> None:
        """Read what containers said at their end, once for each."""
        ended = {c.id: c for c in self._facts.containers if c.state == cri.State.EXITED}
        self._messages = {k: v for k, v in self._messages.items() if k in ended}
        for container in ended.values():
            spec = next((c for c in self._specs() if c.name == container.name), None)
            if container.id not in self._messages and spec is not None:
                said = self._actions.termination_message(spec, container)
                self._messages[container.id] = said

    def _specs(self) -> tuple[Container, ...]:
        return (*podstate.main_containers(self._pod), *self._pod.spec.init_containers)

    def _targets(self) -> list[Target]:
        """Return the running containers that have a spec, as probes and hooks reach them."""
        return [
            target
            for spec in self._specs()
            if (running := self._facts.in_live(spec.name)) is not None
            and running.state == cri.State.RUNNING
            and (target := self._target(running)) is not None
        ]

    def _target(self, container: cri.Container) -> Target | None:
        spec = next((c for c in self._specs() if c.name == container.name), None)
        live = self._facts.live
        if spec is None or live is None:
            return None
        ip = self._host.address if self._pod.spec.host_network else live.ip
        return Target(self.runtime, container.id, spec, ip, live.netns)

    def _notes(self) -> Notes:
        now = asyncio.get_running_loop().time()
        grace_left_s = None
        if self._going_since is not None:
            grace_left_s = max(0.0, _grace_s(self._pod) - (now - self._going_since))
        unreachable_s = now - self._unreachable_since if self._unreachable_since else 0.0
        return Notes(
            now_s=self._host.clock.now_s(),
            busy=frozenset(self._busy),
            waiting={slot: self._waiting(slot, f, now) for slot, f in self._failures.items()},
            health=dict(self._health.verdicts),
            grace_left_s=grace_left_s,
            unreachable_s=unreachable_s,
        )

    def _waiting(self, slot: str, failure: _Failure, now: float) -> Waiting:
        waiting = replace(failure.waiting, retry_in_s=failure.until - now)
        if waiting.reason != "ErrImagePull" or now < failure.since + PULL_ERROR_SHOWN_S:
            return waiting
        spec = next((c for c in self._specs() if c.name == slot), None)
        message = f'Back-off pulling image "{spec.image if spec else ""}"'
        self._tell_once(slot, "BackOff", message)
        return replace(waiting, reason="ImagePullBackOff", message=message)

    # Acting

    def _spawn(self, slot: str, work: Callable[[], Awaitable[None]], name: str) -> None:
        task = self._tasks.create_task(self._in_slot(slot, work), name=name)
        self._busy[slot] = task
        task.add_done_callback(partial(self._free, slot))

    def _free(self, slot: str, _: asyncio.Task[None]) -> None:
        del self._busy[slot]
        if slot != STATUS_SLOT:
            self._stale = True
        self._wake.set()

    async def _in_slot(self, slot: str, work: Callable[[], Awaitable[None]]) -> None:
        """Carry out one action and remember how it came off."""
        try:
            await work()
            self._failures.pop(slot, None)
            self._failed.pop(slot, None)
        except Retry as retry:
            self._fail(slot, retry.reason, str(retry))
        except RuntimeUnavailable:
            pass  # the next look finds it unavailable too, and waits
        except RuntimeRefused as refused:
            self._fail(slot, "RuntimeRefused", str(refused))
        except Exception as fault:  # a boundary: one pod's bad action must not stop its task
            log.exception("action failed", extra={"uid": self.uid, "slot": slot})
            self._fail(slot, "InternalError", str(fault))

    def _fail(self, slot: str, reason: str, message: str) -> None:
        self._failed[slot] += 1
        if reason in ("ErrImagePull", "InvalidImageName"):
            delay_s = images.pull_backoff_s(self._failed[slot])
        else:
            delay_s = min(RETRY_MIN_S * 2.0 ** min(self._failed[slot] - 1, 10), RETRY_MAX_S)
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._failures[slot] = _Failure(Waiting(reason, message, delay_s), now, now + delay_s)
        event = _EVENT_OF.get(reason, "Failed")
        self._host.events.warning(self._pod, event, message)
        if reason == "ErrImagePull":
            loop.call_later(PULL_ERROR_SHOWN_S, self.wake)

    async def _act(self, action: Action) -> None:
        match action:
            case CreateSandbox():
                await self._actions.create_sandbox(self.pod, action)
            case StartContainer():
                self._tell_restart(action)
                await self._actions.start_container(self.pod, action)
            case StopContainer():
                held = next((c for c in self._facts.containers if c.id == action.id), None)
                target = self._target(held) if held else None
                await self._actions.stop_container(self._pod, action, target)
            case StopSandbox():
                await self._actions.stop_sandbox(action.id)
            case RemoveSandbox():
                await self._actions.remove_sandbox(action.id)
            case RemoveContainer():
                await self._actions.remove_container(action)
            case Forget():
                await self._forget()

    async def _forget(self) -> None:
        """Remove what is left on the node, then the object, and end this task."""
        await self._actions.clean_up()
        if not self._vanished:
            try:
                await self._host.client.delete(self._pod, missing_ok=True, grace_period_s=0)
            except Conflict:
                pass  # its successor of the same name has another uid
            except ApiError as fault:
                raise Retry("FailedDelete", str(fault)) from fault
        self._gone = True

    def _refresh_if_due(self) -> float | None:
        """Read mounted config maps and secrets again from time to time; return when next."""
        pod = self._pod
        if self._going_since is not None or self._facts.live is None or pod.is_finished:
            return None
        if not any(volumes.is_configuration(v) for v in pod.spec.volumes):
            return None
        now = asyncio.get_running_loop().time()
        self._refreshed = self._refreshed or now
        if now >= self._refreshed + REFRESH_S and REFRESH_SLOT not in self._busy:
            self._refreshed = now
            refresh = partial(self._actions.refresh_volumes, self.pod)
            self._spawn(REFRESH_SLOT, refresh, REFRESH_SLOT)
        return self._refreshed + REFRESH_S - now

    # Telling

    def _tell_restart(self, start: StartContainer) -> None:
        if start.crashes > 1:
            message = f"Back-off restarting failed container {start.container.name} in pod"
            self._host.events.warning(self._pod, "BackOff", message)

    def _tell_once(self, slot: str, reason: str, message: str) -> None:
        """Send an event once for each failure of a slot."""
        if (slot, f"{self._failed[slot]}") not in self._told:
            self._told = {(s, n) for s, n in self._told if s != slot}
            self._told.add((slot, f"{self._failed[slot]}"))
            self._host.events.normal(self._pod, reason, message)

    def _unhealthy(self, target: Target, message: str) -> None:
        self._host.events.warning(self._pod, "Unhealthy", message)

    def _report_status(self, notes: Notes) -> None:
        """Compute the status; write it if the API has another."""
        if self._vanished:
            return
        others = [c for c in self._pod.status.conditions if c.type not in OWN_CONDITIONS]
        own = [c for c in self._status.conditions if c.type in OWN_CONDITIONS]
        base = changed(self._status, conditions=(*own, *others))
        pod = changed(self._pod, status=base)
        self._status = pod_status(pod, self._facts, notes, self._host.address, self._messages)
        written = (self._status, self._pod.metadata.resource_version)
        differs = self._status != self._pod.status and written != self._settled
        if differs and STATUS_SLOT not in self._busy:
            self._spawn(STATUS_SLOT, partial(self._write_status, self._status), STATUS_SLOT)

    async def _write_status(self, status: PodStatus) -> None:
        try:
            written = await self._host.client.update_status(self._pod, status)
        except Conflict:
            await self._read_again()
        except NotFound:
            self.update(None)
        except ApiError as fault:
            log.warning("status not written", extra={"uid": self.uid, "error": str(fault)})
            await asyncio.sleep(STATUS_RETRY_S)
        else:
            self._settled = (status, written.metadata.resource_version)
            self.update(written)

    async def _read_again(self) -> None:
        """Take the object that a write was refused for; another uid means ours is gone."""
        try:
            found = await self._host.client.get(Pod, key_of(self._pod))
        except NotFound:
            self.update(None)
            return
        self.update(found if found.metadata.uid == self.uid else None)

    def _soonest(self, *delays_s: float | None) -> float | None:
        known = [d for d in delays_s if d is not None]
        deadline_s = self._pod.spec.active_deadline_seconds
        if deadline_s is not None and not self.pod.is_finished:
            known.append(RETRY_MAX_S)
        if self._unreachable_since is not None:
            known.append(UNREACHABLE_S)
        return min(known, default=None)


_EVENT_OF = {
    "FailedMount": "FailedMount",
    "FailedCreatePodSandBox": "FailedCreatePodSandBox",
    "FailedCreatePodContainer": "FailedCreatePodContainer",
    "FailedCleanUp": "FailedKillPod",
    "FailedDelete": "FailedKillPod",
    "RuntimeRefused": "FailedKillPod",
}


def _revision(pod: Pod) -> int:
    return int(pod.metadata.resource_version or 0)


def _grace_s(pod: Pod) -> float:
    """Return the grace period of the pod's deletion; before one is asked for, its spec's."""
    asked = pod.metadata.deletion_grace_period_seconds
    return float(pod.spec.termination_grace_period_seconds if asked is None else asked)
