"""One CRI endpoint: the calls that the agent makes, with our types in and out.

A runtime has a name and a kind: `container` (containerd) or `vm` (our VM runtime server). What
this agent started is known by labels, so nothing needs remembering: `pods()` after a restart
shows all of it. Calls are idempotent where CRI is (stop, remove); a call that fails raises
RuntimeUnavailable (try again when the endpoint is back) or RuntimeRefused (the runtime's words).
Source: Kubernetes CRI v1, api.proto.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import grpc
import grpc.aio
from cri_api.v1 import api_pb2 as cri
from cri_api.v1.api_pb2_grpc import ImageServiceStub, RuntimeServiceStub

LABEL_NAME = "io.kubernetes.pod.name"
LABEL_NAMESPACE = "io.kubernetes.pod.namespace"
LABEL_UID = "io.kubernetes.pod.uid"
LABEL_TENANT = "io.kubernetes.pod.tenant"
LABEL_CONTAINER = "io.kubernetes.container.name"

MESSAGE_MAX_BYTES = 32 << 20  # ExecSync answers up to 16 MiB; gRPC's default is 4
RECONNECT_MIN_MS, RECONNECT_MAX_MS = 50, 500  # a killed containerd is back in 100 ms
CALL_TIMEOUT_S = 120.0  # kubelet's runtime-request-timeout
PULL_TIMEOUT_S = 1800.0  # a large image over a slow line
STATUS_TIMEOUT_S = 5.0

T = TypeVar("T")


class Kind(StrEnum):
    CONTAINER = "container"
    VM = "vm"


class RuntimeUnavailable(Exception):
    """The endpoint does not answer; what runs there runs on."""


class RuntimeRefused(Exception):
    """The runtime answered with an error; the message is its own."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class State(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


_STATES = {
    cri.CONTAINER_CREATED: State.CREATED,
    cri.CONTAINER_RUNNING: State.RUNNING,
    cri.CONTAINER_EXITED: State.EXITED,
    cri.CONTAINER_UNKNOWN: State.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class PodRef:
    """Whose a sandbox is, as its labels say."""

    tenant: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    id: str
    pod: PodRef
    attempt: int
    ready: bool
    created_at_ns: int
    ip: str = ""
    """Empty with host network, and until asked for with `details`."""
    netns: str = ""
    """Path of the network namespace; empty with host network."""
    annotations: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Container:
    id: str
    sandbox_id: str
    name: str
    attempt: int
    """How often this container was started before: the restart count."""
    state: State
    created_at_ns: int
    image: str = ""
    image_ref: str = ""
    started_at_ns: int = 0
    finished_at_ns: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    annotations: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    user: str
    """User name or number that the image asks for; empty: root."""
    from_registry: bool = False
    """Whether it was pulled; False: it was imported on this node."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    exit_code: int
    output: bytes


class Runtime:
    """A client of one endpoint. The channel connects at the first call and reconnects itself."""

    def __init__(self, name: str, kind: Kind, endpoint: str) -> None:
        self.name = name
        self.kind = kind
        self.endpoint = endpoint
        target = endpoint if "://" in endpoint else f"unix://{endpoint}"
        self.channel = grpc.aio.insecure_channel(
            target,
            options=[
                ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
                ("grpc.initial_reconnect_backoff_ms", RECONNECT_MIN_MS),
                ("grpc.min_reconnect_backoff_ms", RECONNECT_MIN_MS),
                ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_MS),
            ],
        )
        self._runtime = RuntimeServiceStub(self.channel)
        self._images = ImageServiceStub(self.channel)

    async def close(self) -> None:
        await self.channel.close(grace=None)

    # What is there

    async def faults(self) -> list[str]:
        """Return why the runtime is not ready; empty if it is."""
        status = await _answer(
            self._runtime.Status(cri.StatusRequest(), timeout=STATUS_TIMEOUT_S), self.name
        )
        return [
            f"{condition.type}: {condition.message or condition.reason or 'false'}"
            for condition in status.status.conditions
            if not condition.status
        ]

    async def version(self) -> str:
        """Return name and version, as nodeInfo.containerRuntimeVersion has it."""
        answer = await _answer(
            self._runtime.Version(cri.VersionRequest(), timeout=STATUS_TIMEOUT_S), self.name
        )
        return f"{answer.runtime_name}://{answer.runtime_version}"

    async def pods(self, uid: str = "") -> tuple[list[Sandbox], list[Container]]:
        """Return the sandboxes and containers of one pod, or of all, without details."""
        labels = {LABEL_UID: uid} if uid else {}
        sandboxes, containers = await asyncio.gather(
            _answer(
                self._runtime.ListPodSandbox(
                    cri.ListPodSandboxRequest(filter=cri.PodSandboxFilter(label_selector=labels)),
                    timeout=CALL_TIMEOUT_S,
                ),
                self.name,
            ),
            _answer(
                self._runtime.ListContainers(
                    cri.ListContainersRequest(filter=cri.ContainerFilter(label_selector=labels)),
                    timeout=CALL_TIMEOUT_S,
                ),
                self.name,
            ),
        )
        return (
            [_sandbox(item) for item in sandboxes.items if LABEL_UID in item.labels],
            [_container(item) for item in containers.containers if LABEL_UID in item.labels],
        )

    async def sandbox_details(self, sandbox: Sandbox) -> Sandbox:
        """Return the sandbox with its address and network namespace."""
        answer = await self._call(
            self._runtime.PodSandboxStatus,
            cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox.id, verbose=True),
        )
        return Sandbox(
            id=sandbox.id,
            pod=sandbox.pod,
            attempt=sandbox.attempt,
            ready=answer.status.state == cri.SANDBOX_READY,
            created_at_ns=sandbox.created_at_ns,
            ip=answer.status.network.ip,
            netns=_netns(answer.info),
            annotations=dict(answer.status.annotations),
        )

    async def container_details(self, container_id: str) -> Container:
        """Return a container with times, exit code and reason."""
        answer = await self._call(
            self._runtime.ContainerStatus,
            cri.ContainerStatusRequest(container_id=container_id),
        )
        status = answer.status
        return Container(
            id=status.id,
            sandbox_id="",
            name=status.metadata.name,
            attempt=status.metadata.attempt,
            state=_STATES.get(status.state, State.UNKNOWN),
            created_at_ns=status.created_at,
            image=status.image.image,
            image_ref=status.image_ref,
            started_at_ns=status.started_at,
            finished_at_ns=status.finished_at,
            exit_code=status.exit_code,
            reason=status.reason,
            message=status.message,
            annotations=dict(status.annotations),
        )

    # Sandboxes and containers

    async def run_sandbox(self, config: cri.PodSandboxConfig) -> str:
        """Make and start a sandbox, network included; return its id."""
        answer = await self._call(
            self._runtime.RunPodSandbox, cri.RunPodSandboxRequest(config=config)
        )
        return answer.pod_sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop a sandbox and kill what is in it. Idempotent."""
        request = cri.StopPodSandboxRequest(pod_sandbox_id=sandbox_id)
        await self._call_if_there(self._runtime.StopPodSandbox, request)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove a stopped sandbox and its containers. Idempotent."""
        request = cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        await self._call_if_there(self._runtime.RemovePodSandbox, request)

    async def create_container(
        self, sandbox_id: str, config: cri.ContainerConfig, sandbox_config: cri.PodSandboxConfig
    ) -> str:
        answer = await self._call(
            self._runtime.CreateContainer,
            cri.CreateContainerRequest(
                pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox_config
            ),
        )
        return answer.container_id

    async def start_container(self, container_id: str) -> None:
        request = cri.StartContainerRequest(container_id=container_id)
        await self._call(self._runtime.StartContainer, request)

    async def stop_container(self, container_id: str, grace_s: float) -> None:
        """Send the stop signal, after `grace_s` SIGKILL; return when it is dead. Idempotent."""
        request = cri.StopContainerRequest(
            container_id=container_id, timeout=max(0, round(grace_s))
        )
        await self._call_if_there(
            self._runtime.StopContainer, request, timeout_s=grace_s + CALL_TIMEOUT_S
        )

    async def remove_container(self, container_id: str) -> None:
        request = cri.RemoveContainerRequest(container_id=container_id)
        await self._call_if_there(self._runtime.RemoveContainer, request)

    async def reopen_log(self, container_id: str) -> None:
        """Make the runtime write on into a fresh file at the container's log path."""
        request = cri.ReopenContainerLogRequest(container_id=container_id)
        await self._call(self._runtime.ReopenContainerLog, request)

    async def exec_sync(
        self, container_id: str, command: Iterable[str], timeout_s: float
    ) -> ExecResult:
        """Run a command in a container; TimeoutError if it takes longer than `timeout_s`."""
        request = cri.ExecSyncRequest(
            container_id=container_id, cmd=command, timeout=max(1, round(timeout_s))
        )
        try:
            answer = await self._call(self._runtime.ExecSync, request, timeout_s=timeout_s + 5.0)
        except RuntimeRefused as refused:
            if refused.code == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimeoutError(str(refused)) from refused
            raise
        return ExecResult(answer.exit_code, answer.stdout + answer.stderr)

    async def exec_url(self, request: cri.ExecRequest) -> str:
        """Return the URL, good for one use, at which the runtime streams the command."""
        answer = await self._call(self._runtime.Exec, request)
        return answer.url

    # Images

    async def image(self, reference: str) -> Image | None:
        """Return the image if the runtime holds it."""
        answer = await self._call(
            self._images.ImageStatus,
            cri.ImageStatusRequest(image=cri.ImageSpec(image=reference)),
        )
        if not answer.image.id:
            return None
        user = (
            str(answer.image.uid.value) if answer.image.HasField("uid") else answer.image.username
        )
        return Image(answer.image.id, user, from_registry=bool(answer.image.repo_digests))

    async def pull(self, reference: str) -> None:
        """Fetch an image; RuntimeRefused says why not."""
        request = cri.PullImageRequest(image=cri.ImageSpec(image=reference))
        await self._call(self._images.PullImage, request, timeout_s=PULL_TIMEOUT_S)

    async def _call(self, method: Any, request: Any, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        return await _answer(method(request, timeout=timeout_s), self.name)

    async def _call_if_there(
        self, method: Any, request: Any, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> None:
        try:
            await self._call(method, request, timeout_s=timeout_s)
        except RuntimeRefused as refused:
            if refused.code != grpc.StatusCode.NOT_FOUND:
                raise


async def _answer(call: Awaitable[T], runtime: str) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as fault:
        if fault.code() == grpc.StatusCode.UNAVAILABLE:
            raise RuntimeUnavailable(f"runtime {runtime}: {fault.details()}") from fault
        raise RuntimeRefused(fault.code(), fault.details() or fault.code().name) from fault


def _sandbox(item: Any) -> Sandbox:
    return Sandbox(
        id=item.id,
        pod=_pod(item.labels),
        attempt=item.metadata.attempt,
        ready=item.state == cri.SANDBOX_READY,
        created_at_ns=item.created_at,
        annotations=dict(item.annotations),
    )


def _pod(labels: Mapping[str, str]) -> PodRef:
    return PodRef(
        tenant=labels.get(LABEL_TENANT, ""),
        namespace=labels.get(LABEL_NAMESPACE, ""),
        name=labels.get(LABEL_NAME, ""),
        uid=labels[LABEL_UID],
    )


def _container(item: Any) -> Container:
    return Container(
        id=item.id,
        sandbox_id=item.pod_sandbox_id,
        name=item.metadata.name,
        attempt=item.metadata.attempt,
        state=_STATES.get(item.state, State.UNKNOWN),
        created_at_ns=item.created_at,
        image=item.image.image,
        image_ref=item.image_ref,
        annotations=dict(item.annotations),
    )


def _netns(info: Mapping[str, str]) -> str:
    """Return the path of the network namespace in a verbose answer, "" if there is none."""
    try:
        namespaces = json.loads(info.get("info", "{}"))["runtimeSpec"]["linux"]["namespaces"]
    except (ValueError, KeyError, TypeError):
        return ""  # a VM runtime has no such thing
    return next((n.get("path", "") for n in namespaces if n.get("type") == "network"), "")
