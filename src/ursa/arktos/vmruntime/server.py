"""CRI over gRPC: translates messages to calls of the runtime and records to messages.

What a machine cannot do answers UNIMPLEMENTED and says why. Faults become gRPC codes in one
place, `Faults`.
Source: Kubernetes cri-api v1 (api.proto).
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import grpc
from cri_api.v1 import api_pb2 as cri
from cri_api.v1 import api_pb2_grpc as cri_grpc

from ursa.arktos.vmruntime import limits
from ursa.arktos.vmruntime.cni import CniError
from ursa.arktos.vmruntime.command import QEMU
from ursa.arktos.vmruntime.images import Image, is_url
from ursa.arktos.vmruntime.records import (
    MachineRecord,
    MachineState,
    SandboxRecord,
    SandboxState,
)
from ursa.arktos.vmruntime.request import machine_request, sandbox_request
from ursa.arktos.vmruntime.runtime import Runtime
from ursa.base import errors

log = logging.getLogger(__name__)

VERSION = "0.1.0"
MESSAGE_BYTES_MAX = 16 << 20  # as containerd's
CODES: Mapping[type[errors.ApiError], grpc.StatusCode] = {
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.BadRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.Conflict: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NotImplementedByServer: grpc.StatusCode.UNIMPLEMENTED,
    errors.ServiceUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.InternalError: grpc.StatusCode.INTERNAL,
}
NO_EXEC = "a machine runs no commands for the host: use its network, or user-data"
NO_STREAM = "is not there for machines yet: read the console with `kubectl logs`"
STATES = {
    MachineState.CREATED: cri.CONTAINER_CREATED,
    MachineState.STARTING: cri.CONTAINER_CREATED,
    MachineState.RUNNING: cri.CONTAINER_RUNNING,
    MachineState.EXITED: cri.CONTAINER_EXITED,
}


def serve(runtime: Runtime, socket: str) -> grpc.aio.Server:
    """Return a server of both services on the unix socket, not started."""
    server = grpc.aio.server(
        interceptors=(Faults(),),
        options=[("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)],
    )
    cri_grpc.add_RuntimeServiceServicer_to_server(RuntimeService(runtime), server)
    cri_grpc.add_ImageServiceServicer_to_server(ImageService(runtime), server)
    server.add_insecure_port(f"unix:{socket}")
    return server


class Faults(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Turns what a call raises into its status."""

    async def intercept_service(
        self, proceed: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        handler = await proceed(details)
        if handler is None or handler.unary_unary is None:
            return handler
        call = handler.unary_unary

        async def guarded(request: Any, context: Any) -> Any:
            try:
                return await call(request, context)
            except errors.ApiError as fault:
                code = next((c for kind, c in CODES.items() if isinstance(fault, kind)), None)
                await context.abort(code or grpc.StatusCode.INTERNAL, fault.message)
            except OSError as fault:
                log.exception("call failed", extra={"method": details.method})
                await context.abort(grpc.StatusCode.INTERNAL, str(fault))

        return grpc.unary_unary_rpc_method_handler(
            guarded,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class RuntimeService(cri_grpc.RuntimeServiceServicer):  # type: ignore[misc]
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def Version(self, request: Any, context: Any) -> Any:
        return cri.VersionResponse(
            version="0.1.0",  # of the kubelet's runtime API: a constant there
            runtime_name="ursa-vm",
            runtime_version=VERSION,
            runtime_api_version="v1",
        )

    async def Status(self, request: Any, context: Any) -> Any:
        conditions = [self._runtime_ready(), self._network_ready()]
        return cri.StatusResponse(status=cri.RuntimeStatus(conditions=conditions))

    def _runtime_ready(self) -> Any:
        if shutil.which(QEMU) is None:
            message = f"{QEMU} is not installed: install qemu-system-x86"
            return _condition("RuntimeReady", reason="QemuMissing", message=message)
        return _condition("RuntimeReady")

    def _network_ready(self) -> Any:
        try:
            self._runtime.network.network()
        except CniError as fault:
            return _condition("NetworkReady", reason="NetworkMissing", message=fault.message)
        return _condition("NetworkReady")

    async def UpdateRuntimeConfig(self, request: Any, context: Any) -> Any:
        return cri.UpdateRuntimeConfigResponse()  # the pod CIDR is the network's affair

    async def RunPodSandbox(self, request: Any, context: Any) -> Any:
        wanted = sandbox_request(request.config)
        sandbox_id = await self._runtime.run_sandbox(wanted, request.runtime_handler)
        return cri.RunPodSandboxResponse(pod_sandbox_id=sandbox_id)

    async def StopPodSandbox(self, request: Any, context: Any) -> Any:
        await self._runtime.stop_sandbox(request.pod_sandbox_id)
        return cri.StopPodSandboxResponse()

    async def RemovePodSandbox(self, request: Any, context: Any) -> Any:
        await self._runtime.remove_sandbox(request.pod_sandbox_id)
        return cri.RemovePodSandboxResponse()

    async def PodSandboxStatus(self, request: Any, context: Any) -> Any:
        record = self._runtime.sandboxes.require(request.pod_sandbox_id)
        return cri.PodSandboxStatusResponse(status=sandbox_status(record))

    async def ListPodSandbox(self, request: Any, context: Any) -> Any:
        found = [r for r in self._runtime.sandboxes if _sandbox_matches(r, request.filter)]
        return cri.ListPodSandboxResponse(items=[sandbox_item(record) for record in found])

    async def CreateContainer(self, request: Any, context: Any) -> Any:
        wanted = machine_request(request.config)
        machine_id = await self._runtime.create_machine(request.pod_sandbox_id, wanted)
        return cri.CreateContainerResponse(container_id=machine_id)

    async def StartContainer(self, request: Any, context: Any) -> Any:
        await self._runtime.start_machine(request.container_id)
        return cri.StartContainerResponse()

    async def StopContainer(self, request: Any, context: Any) -> Any:
        await self._runtime.stop_machine(request.container_id, request.timeout)
        return cri.StopContainerResponse()

    async def RemoveContainer(self, request: Any, context: Any) -> Any:
        await self._runtime.remove_machine(request.container_id)
        return cri.RemoveContainerResponse()

    async def ListContainers(self, request: Any, context: Any) -> Any:
        found = [r for r in self._runtime.machines if _machine_matches(r, request.filter)]
        return cri.ListContainersResponse(containers=[machine_item(record) for record in found])

    async def ContainerStatus(self, request: Any, context: Any) -> Any:
        record = self._runtime.machines.require(request.container_id)
        return cri.ContainerStatusResponse(status=machine_status(record))

    async def ReopenContainerLog(self, request: Any, context: Any) -> Any:
        self._runtime.machines.reopen_log(request.container_id)
        return cri.ReopenContainerLogResponse()

    async def ContainerStats(self, request: Any, context: Any) -> Any:
        record = self._runtime.machines.require(request.container_id)
        return cri.ContainerStatsResponse(stats=machine_stats(record))

    async def ListContainerStats(self, request: Any, context: Any) -> Any:
        found = [r for r in self._runtime.machines if _machine_matches(r, request.filter)]
        return cri.ListContainerStatsResponse(stats=[machine_stats(record) for record in found])

    async def UpdateContainerResources(self, request: Any, context: Any) -> Any:
        raise errors.NotImplementedByServer("a machine's size is fixed until it is made again")

    async def ExecSync(self, request: Any, context: Any) -> Any:
        raise errors.NotImplementedByServer(NO_EXEC)

    async def Exec(self, request: Any, context: Any) -> Any:
        raise errors.NotImplementedByServer(NO_EXEC)

    async def Attach(self, request: Any, context: Any) -> Any:
        raise errors.NotImplementedByServer(f"attach {NO_STREAM}")

    async def PortForward(self, request: Any, context: Any) -> Any:
        raise errors.NotImplementedByServer(f"port-forward {NO_STREAM}")


class ImageService(cri_grpc.ImageServiceServicer):  # type: ignore[misc]
    def __init__(self, runtime: Runtime) -> None:
        self._images = runtime.images

    async def ListImages(self, request: Any, context: Any) -> Any:
        asked = request.filter.image.image
        found: Iterator[Image] = self._images.held()
        if asked:
            one = self._images.find(asked)
            found = iter([one] if one else [])
        return cri.ListImagesResponse(images=[image_item(image) for image in found])

    async def ImageStatus(self, request: Any, context: Any) -> Any:
        image = self._images.find(request.image.image)
        return cri.ImageStatusResponse(image=image_item(image) if image else None)

    async def PullImage(self, request: Any, context: Any) -> Any:
        image = await self._images.pull(request.image.image)
        return cri.PullImageResponse(image_ref=image.id)

    async def RemoveImage(self, request: Any, context: Any) -> Any:
        self._images.remove(request.image.image)
        return cri.RemoveImageResponse()

    async def ImageFsInfo(self, request: Any, context: Any) -> Any:
        used_bytes, inodes = self._images.usage()
        usage = cri.FilesystemUsage(
            timestamp=time.time_ns(),
            fs_id=cri.FilesystemIdentifier(mountpoint=str(self._images.folder)),
            used_bytes=cri.UInt64Value(value=used_bytes),
            inodes_used=cri.UInt64Value(value=inodes),
        )
        return cri.ImageFsInfoResponse(image_filesystems=[usage])


def _condition(kind: str, *, reason: str = "", message: str = "") -> Any:
    """Return a condition that is true unless it has a reason."""
    return cri.RuntimeCondition(type=kind, status=not reason, reason=reason, message=message)


def _sandbox_metadata(record: SandboxRecord) -> Any:
    return cri.PodSandboxMetadata(
        name=record.name, uid=record.uid, namespace=record.namespace, attempt=record.attempt
    )


def _sandbox_state(record: SandboxRecord) -> Any:
    ready = record.state is SandboxState.READY
    return cri.SANDBOX_READY if ready else cri.SANDBOX_NOTREADY


def sandbox_item(record: SandboxRecord) -> Any:
    return cri.PodSandbox(
        id=record.id,
        metadata=_sandbox_metadata(record),
        state=_sandbox_state(record),
        created_at=record.created_ns,
        labels=record.labels,
        annotations=record.annotations,
        runtime_handler=record.runtime_handler,
    )


def sandbox_status(record: SandboxRecord) -> Any:
    addresses = [a.partition("/")[0] for a in record.nic.addresses] if record.nic else []
    network = cri.PodSandboxNetworkStatus(
        ip=addresses[0] if addresses else "",
        additional_ips=[cri.PodIP(ip=address) for address in addresses[1:]],
    )
    return cri.PodSandboxStatus(
        id=record.id,
        metadata=_sandbox_metadata(record),
        state=_sandbox_state(record),
        created_at=record.created_ns,
        network=network,
        labels=record.labels,
        annotations=record.annotations,
        runtime_handler=record.runtime_handler,
    )


def machine_item(record: MachineRecord) -> Any:
    return cri.Container(
        id=record.id,
        pod_sandbox_id=record.sandbox_id,
        metadata=cri.ContainerMetadata(name=record.name, attempt=record.attempt),
        image=cri.ImageSpec(image=record.image),
        image_ref=record.image_id,
        image_id=record.image_id,
        state=STATES[record.state],
        created_at=record.created_ns,
        labels=record.labels,
        annotations=record.annotations,
    )


def machine_status(record: MachineRecord) -> Any:
    end = record.end
    return cri.ContainerStatus(
        id=record.id,
        metadata=cri.ContainerMetadata(name=record.name, attempt=record.attempt),
        state=STATES[record.state],
        created_at=record.created_ns,
        started_at=record.started_ns,
        finished_at=end.finished_ns if end else 0,
        exit_code=end.exit_code if end else 0,
        reason=end.reason if end else "",
        message=end.message if end else "",
        image=cri.ImageSpec(image=record.image),
        image_ref=record.image_id,
        image_id=record.image_id,
        labels=record.labels,
        annotations=record.annotations,
        log_path=record.log_path,
    )


def machine_stats(record: MachineRecord) -> Any:
    now_ns = time.time_ns()
    cpu_nanos = cri.UInt64Value(value=limits.cpu_nanos(record.cgroup))
    held = cri.UInt64Value(value=limits.memory_bytes(record.cgroup))
    disk_bytes = os.stat(record.disk).st_blocks * 512 if os.path.exists(record.disk) else 0
    return cri.ContainerStats(
        attributes=cri.ContainerAttributes(
            id=record.id,
            metadata=cri.ContainerMetadata(name=record.name, attempt=record.attempt),
            labels=record.labels,
            annotations=record.annotations,
        ),
        cpu=cri.CpuUsage(timestamp=now_ns, usage_core_nano_seconds=cpu_nanos),
        memory=cri.MemoryUsage(timestamp=now_ns, working_set_bytes=held),
        writable_layer=cri.FilesystemUsage(
            timestamp=now_ns, used_bytes=cri.UInt64Value(value=disk_bytes)
        ),
    )


def image_item(image: Image) -> Any:
    names = image.file.names
    tags = [name if is_url(name) else f"{name}:latest" for name in names]
    return cri.Image(
        id=image.id,
        repo_tags=tags,
        size=image.file.size_bytes,
        spec=cri.ImageSpec(image=names[0] if names else image.id),
        pinned=image.is_pinned,
    )


def _sandbox_matches(record: SandboxRecord, wanted: Any) -> bool:
    return (
        wanted.id in ("", record.id)
        and (not wanted.HasField("state") or wanted.state.state == _sandbox_state(record))
        and _labels_match(record.labels, wanted.label_selector)
    )


def _machine_matches(record: MachineRecord, wanted: Any) -> bool:
    # A ContainerStatsFilter has no state.
    any_state = not hasattr(wanted, "state") or not wanted.HasField("state")
    return (
        wanted.id in ("", record.id)
        and wanted.pod_sandbox_id in ("", record.sandbox_id)
        and (any_state or wanted.state.state == STATES[record.state])
        and _labels_match(record.labels, wanted.label_selector)
    )


def _labels_match(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items())
