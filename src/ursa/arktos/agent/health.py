"""Watch the health of a pod's running containers by their probes.

One task a container: first the startup probe until it passes, then readiness and liveness side by
side. What they say is `verdicts`, by container id; `changed` is called when it changes.
Source: Kubernetes, pkg/kubelet/prober/worker.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from ursa.arktos.agent import cri, probe
from ursa.arktos.agent.facts import Health
from ursa.arktos.agent.probe import Target
from ursa.kinds.container import Probe

Report = Callable[[Target, str], None]  # container, what failed and why


class HealthWatch:
    def __init__(
        self, tasks: asyncio.TaskGroup, changed: Callable[[], None], report: Report
    ) -> None:
        self.verdicts: dict[str, Health] = {}
        self._tasks = tasks
        self._changed = changed
        self._report = report
        self._watching: dict[str, asyncio.Task[None]] = {}

    def keep(self, running: Iterable[Target]) -> None:
        """Watch exactly these containers; what has ended is dropped."""
        targets = {target.container_id: target for target in running}
        for container_id in self.verdicts.keys() - targets.keys():
            del self.verdicts[container_id]
            if task := self._watching.pop(container_id, None):
                task.cancel()
        for container_id, target in targets.items():
            if container_id not in self.verdicts:
                self._begin(target)

    def stop(self) -> None:
        self.keep(())

    def _begin(self, target: Target) -> None:
        container = target.container
        started = container.startup_probe is None
        ready = started and container.readiness_probe is None
        self.verdicts[target.container_id] = Health(started=started, ready=ready)
        if container.startup_probe or container.readiness_probe or container.liveness_probe:
            task = self._tasks.create_task(self._watch(target))
            self._watching[target.container_id] = task

    async def _watch(self, target: Target) -> None:
        container = target.container
        if container.startup_probe:
            if not await self._until_verdict(target, container.startup_probe, "Startup"):
                self._set(target, unhealthy="failed startup probe")
                return
            self._set(target, started=True, ready=container.readiness_probe is None)
        async with asyncio.TaskGroup() as loops:
            if container.readiness_probe:
                loops.create_task(self._readiness(target, container.readiness_probe))
            if container.liveness_probe:
                loops.create_task(self._liveness(target, container.liveness_probe))

    async def _readiness(self, target: Target, asked: Probe) -> None:
        tally = probe.Tally(asked, passed=False)
        await asyncio.sleep(asked.initial_delay_seconds)
        while True:
            outcome = await self._ask(target, asked, "Readiness")
            if outcome is not None and tally.count(outcome):
                self._set(target, ready=tally.passed)
            await asyncio.sleep(max(1, asked.period_seconds))

    async def _liveness(self, target: Target, asked: Probe) -> None:
        await asyncio.sleep(asked.initial_delay_seconds)
        tally = probe.Tally(asked, passed=True)
        while tally.passed:
            outcome = await self._ask(target, asked, "Liveness")
            if outcome is not None:
                tally.count(outcome)
            if tally.passed:
                await asyncio.sleep(max(1, asked.period_seconds))
        self._set(target, unhealthy="failed liveness probe")

    async def _until_verdict(self, target: Target, asked: Probe, name: str) -> bool:
        await asyncio.sleep(asked.initial_delay_seconds)
        tally = probe.Tally(asked, passed=False)
        while True:
            outcome = await self._ask(target, asked, name)
            if outcome is not None and tally.count(outcome):
                return tally.passed
            await asyncio.sleep(max(1, asked.period_seconds))

    async def _ask(self, target: Target, asked: Probe, name: str) -> bool | None:
        """Return the outcome, or None if the runtime could not be asked."""
        try:
            await probe.ask(target, asked)
        except probe.Failed as failed:
            self._report(target, f"{name} probe failed: {failed}")
            return False
        except cri.RuntimeUnavailable:
            return None
        return True

    def _set(
        self,
        target: Target,
        *,
        started: bool | None = None,
        ready: bool | None = None,
        unhealthy: str = "",
    ) -> None:
        held = self.verdicts.get(target.container_id)
        if held is None:  # ended meanwhile
            return
        verdict = Health(
            started=held.started if started is None else started,
            ready=held.ready if ready is None else ready,
            unhealthy=unhealthy or held.unhealthy,
        )
        if verdict != held:
            self.verdicts[target.container_id] = verdict
            self._changed()
