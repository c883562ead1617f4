"""What kubectl shows of a pod in a row: READY, STATUS, RESTARTS.

A virtual machine counts as one container, by status.virtualMachineStatus.
Source: Kubernetes, pkg/printers/internalversion/printers.go (printPod).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ursa.kinds.ages import age

Document = dict[str, Any]

NONE = "<none>"
_FINISHED = ("Succeeded", "Failed")


@dataclass(slots=True)
class Summary:
    reason: str
    ready: int = 0
    total: int = 0
    restarts: int = 0
    restarted_at: str = ""  # the last restart's time; "" if there was none


def summary(pod: Document) -> Summary:
    spec, status = pod.get("spec", {}), pod.get("status", {})
    sidecars = {
        container["name"]
        for container in spec.get("initContainers", ())
        if container.get("restartPolicy") == "Always"
    }
    found = Summary(_phase_reason(status), total=len(spec.get("containers", ())) + len(sidecars))
    if "virtualMachine" in spec:
        _add_machine(found, status.get("virtualMachineStatus", {}))
    else:
        is_initializing = _add_init_containers(found, spec, status, sidecars)
        if not is_initializing or _is_true(status, "Initialized"):
            _add_containers(found, status, sidecars)
    is_finished = status.get("phase") in _FINISHED
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            found.reason = "Unknown"
        elif not is_finished:
            found.reason = "Terminating"
    return found


def _phase_reason(status: Document) -> str:
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            return "SchedulingGated"
    return status.get("reason") or status.get("phase", "")


def _add_machine(found: Summary, machine: Document) -> None:
    found.total = 1
    found.ready = int(bool(machine.get("ready")))
    found.restarts = machine.get("restartCount", 0)


def _add_init_containers(
    found: Summary, spec: Document, status: Document, sidecars: set[str]
) -> bool:
    """Count init containers up to the first that has not ended; return whether there is one."""
    for index, container in enumerate(status.get("initContainerStatuses", ())):
        _add_restarts(found, container)
        state = container.get("state", {})
        ended, waiting = state.get("terminated"), state.get("waiting", {})
        if ended and ended.get("exitCode", 0) == 0:
            continue
        if container.get("name") in sidecars and container.get("started"):
            found.ready += bool(container.get("ready"))
            continue
        if ended:
            found.reason = f"Init:{_end_reason(ended)}"
        elif waiting.get("reason") and waiting["reason"] != "PodInitializing":
            found.reason = f"Init:{waiting['reason']}"
        else:
            found.reason = f"Init:{index}/{len(spec.get('initContainers', ()))}"
        return True
    return False


def _add_containers(found: Summary, status: Document, sidecars: set[str]) -> None:
    found.restarts, found.restarted_at = 0, ""
    for container in status.get("initContainerStatuses", ()):
        if container.get("name") in sidecars:
            _add_restarts(found, container)
    has_running = False
    for container in reversed(status.get("containerStatuses", ())):
        _add_restarts(found, container)
        state = container.get("state", {})
        if state.get("waiting", {}).get("reason"):
            found.reason = state["waiting"]["reason"]
        elif state.get("terminated"):
            found.reason = _end_reason(state["terminated"])
        elif container.get("ready") and "running" in state:
            has_running = True
            found.ready += 1
    if found.reason == "Completed" and has_running:
        found.reason = "Running" if _is_true(status, "Ready") else "NotReady"


def _add_restarts(found: Summary, container: Document) -> None:
    found.restarts += container.get("restartCount", 0)
    ended_at = container.get("lastState", {}).get("terminated", {}).get("finishedAt", "")
    found.restarted_at = max(found.restarted_at, ended_at or "")


def _end_reason(ended: Document) -> str:
    if ended.get("reason"):
        return ended["reason"]
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _is_true(status: Document, condition_type: str) -> bool:
    return any(
        condition.get("type") == condition_type and condition.get("status") == "True"
        for condition in status.get("conditions", ())
    )


def ready(pod: Document, _now_s: float) -> str:
    found = summary(pod)
    return f"{found.ready}/{found.total}"


def reason(pod: Document, _now_s: float) -> str:
    return summary(pod).reason


def restarts(pod: Document, now_s: float) -> str:
    found = summary(pod)
    if found.restarts and found.restarted_at:
        return f"{found.restarts} ({age(found.restarted_at, now_s)} ago)"
    return str(found.restarts)


def ip(pod: Document, _now_s: float) -> str:
    ips = pod.get("status", {}).get("podIPs") or [{}]
    return ips[0].get("ip") or pod.get("status", {}).get("podIP") or NONE


def node(pod: Document, _now_s: float) -> str:
    return pod.get("spec", {}).get("nodeName") or NONE


def nominated_node(pod: Document, _now_s: float) -> str:
    return pod.get("status", {}).get("nominatedNodeName") or NONE


def readiness_gates(pod: Document, _now_s: float) -> str:
    gates = pod.get("spec", {}).get("readinessGates", ())
    if not gates:
        return NONE
    met = sum(_is_true(pod.get("status", {}), gate["conditionType"]) for gate in gates)
    return f"{met}/{len(gates)}"
