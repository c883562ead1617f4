"""See what a runtime holds of one pod, asking for details only when they can have changed."""

from __future__ import annotations

from dataclasses import replace

from ursa.arktos.agent import cri
from ursa.arktos.agent.facts import Facts


class Observer:
    def __init__(self, runtime: cri.Runtime, uid: str) -> None:
        self._runtime = runtime
        self._uid = uid
        self._sandboxes: dict[str, cri.Sandbox] = {}  # ready ones, with details
        self._containers: dict[str, cri.Container] = {}  # with the details of their state

    async def look(self) -> Facts:
        """Return the pod's sandboxes and containers. RuntimeUnavailable; RuntimeRefused if one
        went between the list and the look.
        """
        sandboxes, containers = await self._runtime.pods(self._uid)
        facts = Facts(
            tuple([await self._sandbox(s) for s in sandboxes]),
            tuple([await self._container(c) for c in containers]),
        )
        self._sandboxes = {s.id: s for s in facts.sandboxes if s.ready}
        self._containers = {c.id: c for c in facts.containers}
        return facts

    async def _sandbox(self, listed: cri.Sandbox) -> cri.Sandbox:
        """Return the sandbox with its address, which stays while it is ready."""
        if not listed.ready:
            return listed
        held = self._sandboxes.get(listed.id)
        return held or await self._runtime.sandbox_details(listed)

    async def _container(self, listed: cri.Container) -> cri.Container:
        """Return the container with times and exit code, which stay while its state does."""
        held = self._containers.get(listed.id)
        if held is not None and held.state == listed.state:
            return held
        details = await self._runtime.container_details(listed.id)
        return replace(details, sandbox_id=listed.sandbox_id, annotations=listed.annotations)
