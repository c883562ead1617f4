"""What one decision about a pod is made from: Facts of its runtime, Notes of this agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ursa.arktos.agent import cri


@dataclass(frozen=True, slots=True)
class Facts:
    """What the pod's runtime holds of it. Containers carry their details."""

    sandboxes: tuple[cri.Sandbox, ...] = ()
    containers: tuple[cri.Container, ...] = ()

    @property
    def live(self) -> cri.Sandbox | None:
        """The newest sandbox, if it is ready."""
        newest = max(self.sandboxes, key=lambda s: (s.attempt, s.created_at_ns), default=None)
        return newest if newest is not None and newest.ready else None

    def of(self, name: str) -> list[cri.Container]:
        """Return the containers of one name, newest first."""
        found = (c for c in self.containers if c.name == name)
        return sorted(found, key=lambda c: (c.attempt, c.created_at_ns), reverse=True)

    def newest(self, name: str) -> cri.Container | None:
        return next(iter(self.of(name)), None)

    def in_live(self, name: str) -> cri.Container | None:
        """Return the newest container of a name, if it is in the live sandbox."""
        newest, live = self.newest(name), self.live
        return newest if newest and live and newest.sandbox_id == live.id else None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why the last try of a slot did not come off, and when the next one is due."""

    reason: str
    message: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes of one container say."""

    started: bool = True
    ready: bool = True
    unhealthy: str = ""
    """Why it must be restarted; empty: it need not."""


@dataclass(frozen=True, slots=True)
class Notes:
    now_s: float  # wall time
    busy: frozenset[str] = frozenset()
    waiting: Mapping[str, Waiting] | None = None
    health: Mapping[str, Health] | None = None
    """By container id; a running container without an entry has not been judged."""
    grace_left_s: float | None = None
    """Set once the pod must go: seconds that its containers have left."""
    unreachable_s: float = 0.0
    """How long the pod's runtime has not answered."""

    def waits(self, slot: str) -> Waiting | None:
        return (self.waiting or {}).get(slot)

    def health_of(self, container: cri.Container) -> Health:
        unjudged = Health(started=False, ready=False)
        return (self.health or {}).get(container.id, unjudged)
