"""The actions that a decision about a pod can ask for. Each occupies a slot while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ursa.arktos.agent import cri
from ursa.kinds.container import Container

SANDBOX_SLOT: Final = "sandbox"


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    attempt: int
    slot: str = SANDBOX_SLOT


@dataclass(frozen=True, slots=True)
class StopSandbox:
    id: str

    @property
    def slot(self) -> str:
        return f"sandbox/{self.id}"


@dataclass(frozen=True, slots=True)
class RemoveSandbox:
    id: str

    @property
    def slot(self) -> str:
        return f"sandbox/{self.id}"


@dataclass(frozen=True, slots=True)
class StartContainer:
    container: Container
    attempt: int
    crashes: int
    sandbox: cri.Sandbox

    @property
    def slot(self) -> str:
        return self.container.name


@dataclass(frozen=True, slots=True)
class StopContainer:
    id: str
    name: str
    grace_s: float
    why: str

    @property
    def slot(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    id: str
    name: str
    attempt: int

    @property
    def slot(self) -> str:
        return f"remove/{self.id}"


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the pod's volumes, cgroup and folder, then its object from the API."""

    slot: str = "forget"


Action = (
    CreateSandbox
    | StopSandbox
    | RemoveSandbox
    | StartContainer
    | StopContainer
    | RemoveContainer
    | Forget
)
