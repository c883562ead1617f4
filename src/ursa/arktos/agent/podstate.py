"""What to do next for one pod: a pure function of what is wanted and what is there.

    pod (API) + Facts (runtime) + Notes (this agent's memory) ── step ──▶ actions

`step` is asked again after every change and after every action, so it plans only the next
moves. An action occupies a slot; while a slot is busy, nothing else is planned for it. Facts
come from the runtime each time and survive the agent; Notes may be lost at any moment and cost
at most a repeated try.

    bring up:   remove stale sandboxes → sandbox → init containers in order → containers
    settle:     nothing runs and nothing will: stop the sandbox, keep the logs
    take down:  containers (with grace) → sandboxes → clean-up and the API's object

Source: Kubernetes, pod life cycle; kuberuntime_manager.go (computePodActions).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ursa.arktos.agent import cri
from ursa.arktos.agent.facts import Facts, Health, Notes
from ursa.arktos.agent.moves import (
    SANDBOX_SLOT,
    Action,
    CreateSandbox,
    Forget,
    RemoveContainer,
    RemoveSandbox,
    StartContainer,
    StopContainer,
    StopSandbox,
)
from ursa.base.clock import parse_rfc3339
from ursa.kinds.container import Container
from ursa.kinds.pod import ContainerStatus, Pod

CRASH_BACKOFF_MIN_S: Final = 10.0  # Kubernetes' CrashLoopBackOff
CRASH_BACKOFF_MAX_S: Final = 300.0
CRASH_RESET_S: Final = 600.0  # a container that ran this long has not crashed in a row
DEAD_KEPT: Final = 1  # ended containers kept beside the newest, for lastState and --previous

# Annotations that this agent puts on containers it makes.
ANNOTATION_CRASHES = "ursa.dev/crashes"  # restarts in a row before this one
ANNOTATION_IMAGE = "ursa.dev/image"  # image as the pod's spec had it

LOST_EXIT_CODE = 137  # Kubernetes' code for a container whose end nobody saw


@dataclass(frozen=True, slots=True)
class Step:
    actions: tuple[Action, ...] = ()
    look_again_s: float | None = None
    """When time alone will change the answer; None: never."""


def step(pod: Pod, facts: Facts, notes: Notes) -> Step:
    """Return the next moves. No action and no `look_again_s`: as wanted, or waiting for others."""
    planned, look_again_s = _plan(pod, facts, notes)
    return Step(tuple(a for a in planned if a.slot not in notes.busy), look_again_s)


def _plan(pod: Pod, facts: Facts, notes: Notes) -> tuple[list[Action], float | None]:
    if notes.grace_left_s is not None:
        return _take_down(pod, facts, notes, notes.grace_left_s), None
    if is_over(pod, facts, notes.now_s):
        return _settle(pod, facts), None
    return _bring_up(pod, facts, notes)


def main_containers(pod: Pod) -> tuple[Container, ...]:
    """Return what the pod is for: its containers, or its virtual machine as one."""
    vm = pod.spec.virtual_machine
    if vm is None:
        return pod.spec.containers
    return (
        Container(
            name=vm.name,
            image=vm.image,
            resources=vm.resources,
            image_pull_policy=vm.image_pull_policy,
        ),
    )


def is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def sidecars(pod: Pod) -> tuple[Container, ...]:
    return tuple(c for c in pod.spec.init_containers if is_sidecar(c))


def is_switched_off(pod: Pod) -> bool:
    vm = pod.spec.virtual_machine
    return vm is not None and vm.power_spec == "Shutdown"


def previous_status(pod: Pod, name: str) -> ContainerStatus | None:
    """Return what the pod's status says of a container."""
    statuses = (*pod.status.container_statuses, *pod.status.init_container_statuses)
    found = next((s for s in statuses if s.name == name), None)
    vm = pod.status.virtual_machine_status
    if found is None and vm is not None and vm.name == name:
        return ContainerStatus(
            name=name, restart_count=vm.restart_count, container_id=vm.virtual_machine_id
        )
    return found


def exit_code(pod: Pod, facts: Facts, name: str) -> int | None:
    """Return the newest container's exit code; None if it has not run or still runs.

    A container that the API knows and the runtime does not was lost with its sandbox.
    """
    newest = facts.newest(name)
    if newest is not None:
        return newest.exit_code if newest.state == cri.State.EXITED else None
    previous = previous_status(pod, name)
    if previous is None or not previous.container_id:
        return None
    ended = previous.state.terminated or previous.last_state.terminated
    return ended.exit_code if ended else LOST_EXIT_CODE


def is_wanted_again(pod: Pod, facts: Facts, container: Container) -> bool:
    """Return whether a container that does not run should be started."""
    if is_switched_off(pod):
        return False
    code = exit_code(pod, facts, container.name)
    if code is None or is_sidecar(container):
        return True
    policy = pod.spec.restart_policy
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def is_running(facts: Facts, name: str) -> bool:
    newest = facts.newest(name)
    return newest is not None and newest.state == cri.State.RUNNING


def deadline_passed(pod: Pod, now_s: float) -> bool:
    seconds, start = pod.spec.active_deadline_seconds, pod.status.start_time
    return seconds is not None and start is not None and now_s >= parse_rfc3339(start) + seconds


def init_failed(pod: Pod, facts: Facts) -> bool:
    """Return whether an init container ended the pod: it failed and may not be tried again."""
    if pod.spec.restart_policy != "Never":
        return False
    return any(
        (exit_code(pod, facts, c.name) or 0) != 0
        for c in pod.spec.init_containers
        if not is_sidecar(c)
    )


def is_over(pod: Pod, facts: Facts, now_s: float) -> bool:
    """Return whether nothing of the pod will be started again."""
    if pod.is_finished or deadline_passed(pod, now_s) or init_failed(pod, facts):
        return True
    if is_switched_off(pod):
        return False
    return all(
        exit_code(pod, facts, c.name) is not None and not is_wanted_again(pod, facts, c)
        for c in main_containers(pod)
    )


def _settle(pod: Pod, facts: Facts) -> list[Action]:
    running = _running(facts, (*main_containers(pod), *sidecars(pod)))
    if running:
        grace_s = float(pod.spec.termination_grace_period_seconds)
        return [_stop(c, grace_s, "Pod has finished") for c in running]
    return [StopSandbox(s.id) for s in facts.sandboxes if s.ready]


def _take_down(pod: Pod, facts: Facts, notes: Notes, grace_left_s: float) -> list[Action]:
    mains = _running(facts, main_containers(pod)) or _running(facts, sidecars(pod))
    known = {c.id for c in mains}
    # An orphan's spec is unknown: whatever runs is stopped.
    targets = mains or [c for c in facts.containers if c.state == cri.State.RUNNING]
    if targets and grace_left_s > 0:
        return [_stop(c, grace_left_s, "") for c in targets if not known or c.id in known]
    if facts.sandboxes:
        return [RemoveSandbox(s.id) for s in facts.sandboxes]
    return [] if notes.busy else [Forget()]  # what is in flight may leave something behind


def _running(facts: Facts, containers: Iterable[Container]) -> list[cri.Container]:
    newest = (facts.newest(c.name) for c in containers)
    return [c for c in newest if c is not None and c.state == cri.State.RUNNING]


def _stop(container: cri.Container, grace_s: float, why: str) -> StopContainer:
    return StopContainer(container.id, container.name, grace_s, why)


def _bring_up(pod: Pod, facts: Facts, notes: Notes) -> tuple[list[Action], float | None]:
    if is_switched_off(pod):
        running = _running(facts, main_containers(pod))
        grace_s = float(pod.spec.termination_grace_period_seconds)
        return [_stop(c, grace_s, "Power state Shutdown is asked for") for c in running], None
    if SANDBOX_SLOT in notes.busy:
        return [], None
    live = facts.live
    stale = [s for s in facts.sandboxes if s is not live]
    if stale:  # first these: their network and names are the pod's
        return [RemoveSandbox(s.id) for s in stale], None
    if live is None:
        return _in_time([CreateSandbox(attempt=_next_sandbox(facts))], notes, SANDBOX_SLOT)
    actions: list[Action] = list(_leftovers(facts, notes))
    moves, look_again_s = _containers(pod, facts, notes, live)
    return actions + moves, look_again_s


def _next_sandbox(facts: Facts) -> int:
    return max((s.attempt + 1 for s in facts.sandboxes), default=0)


def _leftovers(facts: Facts, notes: Notes) -> Iterator[Action]:
    """Yield removals: containers that were never started, and the oldest that have ended."""
    for name in {c.name for c in facts.containers}:
        if name in notes.busy:
            continue
        newest, *older = facts.of(name)
        if newest.state == cri.State.CREATED:
            yield RemoveContainer(newest.id, name, newest.attempt)
        for container in older[DEAD_KEPT:]:
            yield RemoveContainer(container.id, name, container.attempt)


def _containers(
    pod: Pod, facts: Facts, notes: Notes, live: cri.Sandbox
) -> tuple[list[Action], float | None]:
    init = next_init(pod, facts, notes)
    if init is not None:
        return _one(pod, facts, notes, live, init)
    actions: list[Action] = []
    delays: list[float] = []
    containers = (*sidecars(pod), *main_containers(pod))
    starting = any(c.name in notes.busy for c in containers)
    for container in containers:
        moves, delay_s = _one(pod, facts, notes, live, container)
        for move in moves:
            if isinstance(move, StartContainer):
                if starting:  # one at a time, in the order of the spec
                    continue
                starting = True
            actions.append(move)
        if delay_s is not None:
            delays.append(delay_s)
    return actions, min(delays, default=None)


def next_init(pod: Pod, facts: Facts, notes: Notes) -> Container | None:
    """Return the init container that holds up the others; None once all are through."""
    if any(facts.in_live(c.name) for c in main_containers(pod)):
        return None
    for container in pod.spec.init_containers:
        newest = facts.in_live(container.name)
        if newest is None:
            return container
        if is_sidecar(container):
            if newest.state != cri.State.RUNNING or not notes.health_of(newest).started:
                return container
        elif newest.state != cri.State.EXITED or newest.exit_code != 0:
            return container
    return None


def _one(
    pod: Pod, facts: Facts, notes: Notes, live: cri.Sandbox, container: Container
) -> tuple[list[Action], float | None]:
    """Return the next move of one container."""
    newest = facts.in_live(container.name)
    if newest is not None and newest.state == cri.State.RUNNING:
        why = _restart_reason(container, newest, notes)
        grace_s = _restart_grace_s(pod, container, notes.health_of(newest))
        return ([_stop(newest, grace_s, why)] if why else []), None
    if newest is not None and newest.state == cri.State.CREATED:
        return [], None  # a leftover that is being removed
    is_init = container in pod.spec.init_containers  # next_init has chosen it
    if not is_init and not is_wanted_again(pod, facts, container):
        return [], None
    delay_s = restart_delay_s(newest, notes.now_s) if newest else 0.0
    if delay_s > 0:
        return [], delay_s
    start = StartContainer(
        container, next_attempt(pod, facts, container.name), _crashes(newest), live
    )
    return _in_time([start], notes, start.slot)


def _in_time(actions: list[Action], notes: Notes, slot: str) -> tuple[list[Action], float | None]:
    waiting = notes.waits(slot)
    if waiting is not None and waiting.retry_in_s > 0:
        return [], waiting.retry_in_s
    return actions, None


def _restart_reason(container: Container, running: cri.Container, notes: Notes) -> str:
    unhealthy = notes.health_of(running).unhealthy
    if unhealthy:
        return f"Container {container.name} {unhealthy}, will be restarted"
    image = (running.annotations or {}).get(ANNOTATION_IMAGE, container.image)
    if image != container.image:
        return f"Container {container.name} definition changed, will be restarted"
    return ""


def _restart_grace_s(pod: Pod, container: Container, health: Health) -> float:
    probe = container.liveness_probe if health.started else container.startup_probe
    if probe is not None and probe.termination_grace_period_seconds is not None:
        return float(probe.termination_grace_period_seconds)
    return float(pod.spec.termination_grace_period_seconds)


def next_attempt(pod: Pod, facts: Facts, name: str) -> int:
    """Return the restart count of the container's next start."""
    newest = facts.newest(name)
    if newest is not None:
        return newest.attempt + 1
    previous = previous_status(pod, name)
    return previous.restart_count + 1 if previous and previous.container_id else 0


def restart_delay_s(ended: cri.Container, now_s: float) -> float:
    """Return the seconds left before a container that ended is started again."""
    return ended.finished_at_ns / 1e9 + crash_backoff_s(ended) - now_s


def crash_backoff_s(ended: cri.Container) -> float:
    """Return how long the container stays down: 0 at the first crash, then doubling."""
    crashes = _crashes(ended) - 1
    if crashes <= 0:
        return 0.0
    doublings = min(crashes - 1, 10)  # 10 s * 2^10 is far over the bound
    return min(CRASH_BACKOFF_MIN_S * 2.0**doublings, CRASH_BACKOFF_MAX_S)


def _crashes(ended: cri.Container | None) -> int:
    """Return the crashes in a row, the end of `ended` included."""
    if ended is None:
        return 0
    ran_s = (ended.finished_at_ns - ended.started_at_ns) / 1e9 if ended.started_at_ns > 0 else 0.0
    if ran_s >= CRASH_RESET_S:
        return 0
    return int((ended.annotations or {}).get(ANNOTATION_CRASHES, "0")) + 1
