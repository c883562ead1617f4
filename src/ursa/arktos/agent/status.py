"""A pod's status as the API shows it: a pure function of pod, facts and notes.

Conditions keep their transition time while their status stays. Conditions that others own
(PodScheduled, readiness gates) are kept as they are.
Source: Kubernetes, pod life cycle; kubelet_pods.go (generateAPIPodStatus); Arktos for VMs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from ursa.arktos.agent import cri, resources
from ursa.arktos.agent.facts import Facts, Notes
from ursa.arktos.agent.moves import SANDBOX_SLOT
from ursa.arktos.agent.podstate import (
    CRASH_BACKOFF_MIN_S,
    LOST_EXIT_CODE,
    crash_backoff_s,
    deadline_passed,
    exit_code,
    init_failed,
    is_over,
    is_sidecar,
    is_switched_off,
    is_wanted_again,
    main_containers,
    next_init,
    previous_status,
    restart_delay_s,
)
from ursa.base.clock import rfc3339
from ursa.kinds.container import Container
from ursa.kinds.part import Condition
from ursa.kinds.pod import (
    FAILED,
    PENDING,
    RUNNING,
    SUCCEEDED,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Pod,
    PodIp,
    PodStatus,
)
from ursa.kinds.vm import VirtualMachineStatus

UNREACHABLE_S = 5.0  # a runtime that restarts is back in 0.1–0.6 s: that is no news
OWN_CONDITIONS = (
    "PodReadyToStartContainers",
    "Initialized",
    "VirtualMachineReady",
    "ContainersReady",
    "Ready",
)


def pod_status(
    pod: Pod, facts: Facts, notes: Notes, host_ip: str, messages: Mapping[str, str] | None = None
) -> PodStatus:
    """Return the whole status. `messages`: container id → its termination message."""
    told = messages or {}
    mains = [_container_status(pod, facts, notes, c, told) for c in main_containers(pod)]
    inits = [_container_status(pod, facts, notes, c, told) for c in pod.spec.init_containers]
    phase = _phase(pod, facts, notes)
    overdue = deadline_passed(pod, notes.now_s) and phase == FAILED
    status = replace(
        pod.status,
        phase=phase,
        reason="DeadlineExceeded" if overdue else pod.status.reason,
        message="Pod was active on the node longer than the specified deadline"
        if overdue
        else pod.status.message,
        host_ip=host_ip,
        host_ips=(PodIp(ip=host_ip),),
        start_time=pod.status.start_time or rfc3339(notes.now_s),
        qos_class=resources.qos_class(resources.workloads(pod)),
        **_addresses(pod, facts, host_ip, phase),
    )
    vm = pod.spec.virtual_machine
    if vm is None:
        status = replace(
            status,
            container_statuses=tuple(mains),
            init_container_statuses=tuple(inits),
        )
    else:
        status = replace(status, virtual_machine_status=_vm_status(pod, mains[0]))
    conditions = _conditions(pod, facts, notes, phase, mains)
    return replace(status, conditions=_merged(pod.status.conditions, conditions, notes.now_s))


def _addresses(
    pod: Pod, facts: Facts, host_ip: str, phase: str
) -> dict[str, str | tuple[PodIp, ...]]:
    live = facts.live
    ip = pod.status.pod_ip
    if live is not None:
        ip = host_ip if pod.spec.host_network else live.ip or ip
    elif not facts.sandboxes and phase == PENDING:
        ip = ""
    return {"pod_ip": ip, "pod_ips": (PodIp(ip=ip),) if ip else ()}


def _phase(pod: Pod, facts: Facts, notes: Notes) -> str:
    if pod.is_finished:
        return pod.status.phase
    if deadline_passed(pod, notes.now_s) or init_failed(pod, facts):
        return FAILED
    mains = main_containers(pod)
    codes = [exit_code(pod, facts, c.name) for c in mains]
    begun = [c for c, code in zip(mains, codes, strict=True) if code is not None or _runs(facts, c)]
    ended = all(code is not None for code in codes) and not is_switched_off(pod)
    going = notes.grace_left_s is not None
    if ended and (going or is_over(pod, facts, notes.now_s)) and mains:
        return SUCCEEDED if not any(codes) else FAILED
    return RUNNING if len(begun) == len(mains) and mains else PENDING


def _runs(facts: Facts, container: Container) -> bool:
    newest = facts.newest(container.name)
    return newest is not None and newest.state == cri.State.RUNNING


# Containers


def _container_status(
    pod: Pod, facts: Facts, notes: Notes, container: Container, messages: Mapping[str, str]
) -> ContainerStatus:
    previous = previous_status(pod, container.name) or ContainerStatus(name=container.name)
    held = [c for c in facts.of(container.name) if c.state != cri.State.CREATED]
    if not held:
        return _unstarted(pod, facts, notes, container, previous)
    newest, *older = held
    ended = next((_terminated(c, messages) for c in older if c.state == cri.State.EXITED), None)
    last = ContainerState(terminated=ended) if ended else previous.last_state
    health = notes.health_of(newest)
    running = newest.state == cri.State.RUNNING
    status = ContainerStatus(
        name=container.name,
        state=_state(newest, messages),
        last_state=last,
        ready=running and health.ready and notes.unreachable_s < UNREACHABLE_S,
        restart_count=newest.attempt,
        image=newest.image or container.image,
        image_id=newest.image_ref,
        container_id=_container_id(newest),
        started=running and health.started,
    )
    if newest.state != cri.State.EXITED:
        return status
    finished_init = container in pod.spec.init_containers and not newest.exit_code
    if finished_init and not is_sidecar(container):
        return replace(status, ready=True)
    over = notes.grace_left_s is not None or is_over(pod, facts, notes.now_s)
    if over or not is_wanted_again(pod, facts, container):
        return status
    waiting = _waits_to_restart(newest, notes, container.name)
    if waiting is None:
        return status
    terminated = ContainerState(terminated=_terminated(newest, messages))
    return replace(status, state=ContainerState(waiting=waiting), last_state=terminated)


def _unstarted(
    pod: Pod, facts: Facts, notes: Notes, container: Container, previous: ContainerStatus
) -> ContainerStatus:
    """Return the status of a container that the runtime does not hold."""
    state, last = previous.state, previous.last_state
    if state.running is not None:
        lost = ContainerStateTerminated(
            exit_code=LOST_EXIT_CODE,
            reason="ContainerStatusUnknown",
            message="The container could not be located when the pod was looked at",
            container_id=previous.container_id,
        )
        state = ContainerState(terminated=lost)
    going = notes.grace_left_s is not None or is_over(pod, facts, notes.now_s)
    if not going and is_wanted_again(pod, facts, container):
        last = ContainerState(terminated=state.terminated) if state.terminated else last
        failed = notes.waits(container.name) or notes.waits(SANDBOX_SLOT)
        reason = failed.reason if failed else _default_wait(pod, facts, notes)
        message = failed.message if failed else ""
        state = ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message))
    return replace(
        previous,
        state=state,
        last_state=last,
        ready=False,
        started=False,
        image=previous.image or container.image,
    )


def _default_wait(pod: Pod, facts: Facts, notes: Notes) -> str:
    return "PodInitializing" if pod.spec.init_containers else "ContainerCreating"


def _waits_to_restart(
    ended: cri.Container, notes: Notes, name: str
) -> ContainerStateWaiting | None:
    """Return why an ended container is down, or None for the moment before its restart."""
    failed = notes.waits(name)
    if failed is not None:
        return ContainerStateWaiting(reason=failed.reason, message=failed.message)
    if restart_delay_s(ended, notes.now_s) <= 0:
        return None
    backoff_s = max(crash_backoff_s(ended), CRASH_BACKOFF_MIN_S)
    return ContainerStateWaiting(
        reason="CrashLoopBackOff",
        message=f"back-off {backoff_s:.0f}s restarting failed container={name}",
    )


def _state(container: cri.Container, messages: Mapping[str, str]) -> ContainerState:
    match container.state:
        case cri.State.RUNNING:
            started = ContainerStateRunning(started_at=_time(container.started_at_ns))
            return ContainerState(running=started)
        case cri.State.EXITED:
            return ContainerState(terminated=_terminated(container, messages))
    return ContainerState(waiting=ContainerStateWaiting(reason="ContainerCreating"))


def _terminated(container: cri.Container, messages: Mapping[str, str]) -> ContainerStateTerminated:
    reason = container.reason or ("Error" if container.exit_code else "Completed")
    return ContainerStateTerminated(
        exit_code=container.exit_code,
        reason=reason,
        message=messages.get(container.id, "") or container.message,
        started_at=_time(container.started_at_ns),
        finished_at=_time(container.finished_at_ns),
        container_id=_container_id(container),
    )


def _container_id(container: cri.Container) -> str:
    return f"containerd://{container.id}"


def _time(nanoseconds: int) -> str | None:
    return rfc3339(nanoseconds / 1e9) if nanoseconds > 0 else None


# Conditions


def _conditions(
    pod: Pod, facts: Facts, notes: Notes, phase: str, mains: Sequence[ContainerStatus]
) -> list[Condition]:
    sandbox = Condition(type="PodReadyToStartContainers", status=_truth(facts.live is not None))
    unready = [s.name for s in mains if not s.ready]
    if phase in (SUCCEEDED, FAILED):
        workload = ("False", "PodCompleted" if phase == SUCCEEDED else "PodFailed", "")
    elif unready and notes.unreachable_s >= UNREACHABLE_S:
        workload = ("False", "RuntimeUnavailable", "the node's runtime of this pod does not answer")
    elif unready:
        workload = ("False", *_why_unready(pod, mains))
    else:
        workload = ("True", "", "")
    status, reason, message = workload
    ready = _gated(pod, Condition(type="Ready", status=status, reason=reason, message=message))
    if pod.spec.virtual_machine is not None:
        return [sandbox, replace(ready, type="VirtualMachineReady"), ready]
    containers = Condition(type="ContainersReady", status=status, reason=reason, message=message)
    return [sandbox, _initialized(pod, facts, notes, phase), containers, ready]


def _why_unready(pod: Pod, mains: Sequence[ContainerStatus]) -> tuple[str, str]:
    """Return reason and message. A machine has no status that shows what it waits for."""
    waiting = mains[0].state.waiting if pod.spec.virtual_machine and mains else None
    if waiting is not None and waiting.message:
        last = mains[0].last_state.terminated
        why = f"; it ended before: {last.message}" if last and last.message else ""
        return waiting.reason, f"{waiting.message}{why}"
    noun = "VirtualMachine" if pod.spec.virtual_machine else "Containers"
    unready = " ".join(s.name for s in mains if not s.ready)
    return f"{noun}NotReady", f"{noun.lower()} with unready status: [{unready}]"


def _initialized(pod: Pod, facts: Facts, notes: Notes, phase: str) -> Condition:
    """Init containers are through once main containers exist, or the pod has succeeded."""
    waiting = next_init(pod, facts, notes) if phase in (PENDING, FAILED) else None
    if waiting is None:
        return Condition(type="Initialized", status="True")
    return Condition(
        type="Initialized",
        status="False",
        reason="ContainersNotInitialized",
        message=f"containers with incomplete status: [{waiting.name}]",
    )


def _gated(pod: Pod, ready: Condition) -> Condition:
    if ready.status != "True":
        return ready
    held = {c.type: c.status for c in pod.status.conditions}
    closed = [
        gate.condition_type
        for gate in pod.spec.readiness_gates
        if held.get(gate.condition_type) != "True"
    ]
    if not closed:
        return ready
    message = f'the status of pod readiness gate "{closed[0]}" is not "True"'
    return replace(ready, status="False", reason="ReadinessGatesNotReady", message=message)


def _merged(
    before: tuple[Condition, ...], own: Iterable[Condition], now_s: float
) -> tuple[Condition, ...]:
    held = {c.type: c for c in before}
    stamped = []
    for condition in own:
        old = held.get(condition.type)
        since = old.last_transition_time if old and old.status == condition.status else None
        stamped.append(replace(condition, last_transition_time=since or rfc3339(now_s)))
    others = [c for c in before if c.type not in OWN_CONDITIONS]
    return (*stamped, *others)


def _truth(value: bool) -> str:
    return "True" if value else "False"


# Virtual machines


def _vm_status(pod: Pod, machine: ContainerStatus) -> VirtualMachineStatus:
    vm = pod.spec.virtual_machine
    assert vm is not None
    running = machine.state.running is not None
    crashed = machine.state.terminated is not None and machine.state.terminated.exit_code != 0
    power = "running" if running else "crashed" if crashed else "shutdown"
    if not machine.container_id:
        power = "nostate"
    return VirtualMachineStatus(
        name=vm.name,
        virtual_machine_id=machine.container_id.removeprefix("containerd://"),
        image=vm.image,
        image_id=machine.image_id,
        state="active" if running else "stopped",
        power_state="shutdown" if is_switched_off(pod) and not running else power,
        ready=machine.ready,
        restart_count=machine.restart_count,
        resources=vm.resources,
    )
