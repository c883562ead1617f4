"""What the actions of `podstate` do to the runtime and the node, one method each.

A method returns when it is done, or raises Retry with the reason that the user sees while it is
tried again. `whole` protects what must not be left half done when the pod's task moves on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from cri_api.v1 import api_pb2 as cri_pb

from ursa.arktos.agent import (
    cri,
    images,
    logs,
    podcgroup,
    podconfig,
    podstate,
    probe,
    references,
    resources,
    volumes,
)
from ursa.arktos.agent.cri import RuntimeRefused
from ursa.arktos.agent.host import Host
from ursa.arktos.agent.moves import CreateSandbox, RemoveContainer, StartContainer, StopContainer
from ursa.arktos.agent.probe import Target
from ursa.arktos.agent.references import SECRET, ConfigFault, Objects, Reference
from ursa.arktos.agent.starts import CONTAINER_FIRST, SANDBOX_SECOND
from ursa.arktos.agent.volumes import MountFault, Sources, Volumes
from ursa.base.errors import ApiError, NotFound
from ursa.client.key import Key
from ursa.kinds.configmap import ConfigMap
from ursa.kinds.container import Container
from ursa.kinds.pod import Pod
from ursa.kinds.secret import Secret
from ursa.kinds.volume import TokenProjection

T = TypeVar("T")

STOP_GRACE_MIN_S: Final = 2.0  # what is left for SIGTERM after a long preStop hook (kubelet's)
HOOK_TIMEOUT_S: Final = 600.0  # a postStart hook without an end of its own
TERMINATION_MESSAGE_MAX: Final = 4096  # bytes; Kubernetes' bound
FALLBACK_BYTES, FALLBACK_LINES = 2048, 80  # FallbackToLogsOnError


class Retry(Exception):
    """The action did not come off; `reason` is the container's waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def whole(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end even if this task is cancelled meanwhile; then be cancelled."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # taken note of: nobody is left to be told
        raise


class Actions:
    """The actions of one pod in one runtime."""

    def __init__(self, host: Host, runtime: cri.Runtime, uid: str) -> None:
        self._host = host
        self._runtime = runtime
        self._dir = host.pod_dir(uid)
        self._cgroup = host.pod_cgroup(uid)
        self._volumes = Volumes(self._dir)

    async def create_sandbox(self, pod: Pod, move: CreateSandbox) -> None:
        """Make volumes, cgroup and sandbox. Retry FailedMount or FailedCreatePodSandBox."""
        if not any(volumes.is_configuration(v) for v in pod.spec.volumes):
            await asyncio.to_thread(self._prepare, pod, Sources({}, self._host.place(""), {}))
        else:
            await self.refresh_volumes(pod)
        for reason, message in not_carried_out(pod):
            self._host.events.warning(pod, reason, message)
        config = self._sandbox_config(pod, move.attempt)
        try:
            async with self._host.starts.place(SANDBOX_SECOND):
                await whole(self._runtime.run_sandbox(config))
        except RuntimeRefused as refused:
            raise Retry(
                "FailedCreatePodSandBox", f"Failed to create pod sandbox: {refused}"
            ) from refused

    async def refresh_volumes(self, pod: Pod) -> None:
        """Bring the volumes to what the API says. Retry FailedMount."""
        try:
            objects = await self._fetch(pod, references.needed_by_volumes(pod.spec.volumes))
            tokens = {t: await self._token(pod, t) for t in volumes.tokens_of(pod.spec.volumes)}
        except ApiError as fault:
            raise Retry("FailedMount", str(fault)) from fault
        sources = Sources(objects, self._host.place(pod.status.pod_ip), tokens)
        await asyncio.to_thread(self._prepare, pod, sources)

    def _prepare(self, pod: Pod, sources: Sources) -> None:
        """Make the pod's folder, cgroup and volumes; idempotent. Blocking."""
        inits = pod.spec.init_containers
        mains = podstate.main_containers(pod)
        try:
            self._dir.mkdir(parents=True, exist_ok=True, mode=0o750)
            for container in (*inits, *mains):
                logs.folder(self._dir, container.name).mkdir(parents=True, exist_ok=True)
            limits = resources.pod_limits(mains, inits)
            if pod.spec.virtual_machine is not None:  # QEMU needs more than its guest: the
                limits = replace(limits, memory_bytes=0)  # runtime bounds the machine's own group
            podcgroup.ensure(self._cgroup, limits)
            self._volumes.ensure(pod, sources)
        except MountFault as fault:
            raise Retry("FailedMount", str(fault)) from fault
        except OSError as fault:  # a full disk, a limit of the kernel
            raise Retry("FailedCreatePodContainer", f"cannot prepare the pod: {fault}") from fault

    async def _token(self, pod: Pod, wanted: TokenProjection) -> str:
        """Return a fresh token of the pod's service account, bound to the pod."""
        metadata = pod.metadata
        account = pod.spec.service_account_name or "default"
        path = (
            f"/api/v1/tenants/{metadata.tenant}/namespaces/{metadata.namespace}"
            f"/serviceaccounts/{account}/token"
        )
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata.name, "uid": metadata.uid}
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [wanted.audience] if wanted.audience else [],
                "expirationSeconds": wanted.expiration_seconds,
                "boundObjectRef": bound,
            },
        }
        answer = await self._host.client.request("POST", path, msgspec.json.encode(request))
        return str(msgspec.json.decode(answer)["status"]["token"])

    async def _fetch(self, pod: Pod, wanted: Iterable[Reference]) -> Objects:
        """Return the objects by reference; None for one that is not there."""
        found: dict[Reference, Mapping[str, bytes] | None] = {}
        for reference in wanted:
            key = Key(pod.metadata.tenant, pod.metadata.namespace, reference.name)
            try:
                found[reference] = references.keys_of(await self._get(reference.kind, key))
            except NotFound:
                found[reference] = None
        return found

    async def _get(self, kind: str, key: Key) -> Secret | ConfigMap:
        if kind == SECRET:
            return await self._host.client.get(Secret, key)
        return await self._host.client.get(ConfigMap, key)

    def _sandbox_config(self, pod: Pod, attempt: int) -> cri_pb.PodSandboxConfig:
        return podconfig.sandbox_config(pod, attempt, self._dir / "logs", self._cgroup)

    async def start_container(self, pod: Pod, move: StartContainer) -> None:
        """Pull, create, start; then the postStart hook. Retry with the waiting reason."""
        container, events = move.container, self._host.events

        async def report(reason: str, message: str) -> None:
            events.normal(pod, reason, message)

        try:
            image = await images.ensure(
                self._runtime,
                container.image,
                container.image_pull_policy,
                self._host.pulls,
                report,
            )
        except images.ImageFault as fault:
            raise Retry(fault.reason, str(fault)) from fault
        config = await self._container_config(pod, move, image)
        async with self._host.starts.place(CONTAINER_FIRST):
            container_id = await whole(self._create_and_start(pod, move, config))
        await self._post_start(pod, move, container_id)

    async def _container_config(
        self, pod: Pod, move: StartContainer, image: cri.Image
    ) -> cri_pb.ContainerConfig:
        container = move.container
        if pod.spec.virtual_machine is not None:
            disk_dir = self._dir / "disk"
            return podconfig.machine_config(
                pod, attempt=move.attempt, crashes=move.crashes, disk_dir=disk_dir
            )
        try:
            needed = references.needed_by_environment(container)
            objects = await self._fetch(pod, needed)
            env = references.environment(
                pod, container, objects, self._host.place(self._ip(pod, move.sandbox))
            )
            quota_max_us = podcgroup.quota_max_us(self._cgroup)
            given = podconfig.Given(
                attempt=move.attempt,
                crashes=move.crashes,
                env=env,
                mounts=await asyncio.to_thread(self._mounts, pod, move, env),
                limits=resources.container_limits(container.resources, quota_max_us),
                image_user=image.user,
                machine_bytes=self._host.memory_bytes,
            )
            return podconfig.container_config(pod, container, given)
        except (ConfigFault, ApiError, MountFault) as fault:
            raise Retry("CreateContainerConfigError", str(fault)) from fault

    def _ip(self, pod: Pod, sandbox: cri.Sandbox) -> str:
        return self._host.address if pod.spec.host_network else sandbox.ip

    def _mounts(self, pod: Pod, move: StartContainer, env: Mapping[str, str]) -> list[cri_pb.Mount]:
        container = move.container
        mounts = []
        for index, mount in enumerate(container.volume_mounts):
            source = self._volumes.source(pod, container, index, env)
            mounts.append(
                cri_pb.Mount(
                    container_path=mount.mount_path,
                    host_path=str(source),
                    readonly=mount.read_only,
                    propagation=_PROPAGATION[mount.mount_propagation or "None"],
                )
            )
        taken = {mount.container_path for mount in mounts}
        if "/etc/hosts" not in taken and not pod.spec.host_network:
            mounts.append(self._hosts(pod, move.sandbox))
        message = self._message_file(container.name, move.attempt)
        message.parent.mkdir(parents=True, exist_ok=True)
        message.touch(mode=0o666)
        message.chmod(0o666)  # any user of the container may write it
        mounts.append(
            cri_pb.Mount(container_path=container.termination_message_path, host_path=str(message))
        )
        return mounts

    def _hosts(self, pod: Pod, sandbox: cri.Sandbox) -> cri_pb.Mount:
        file = self._dir / "etc-hosts"
        file.write_bytes(podconfig.hosts_file(pod, sandbox.ip))
        return cri_pb.Mount(container_path="/etc/hosts", host_path=str(file))

    def _message_file(self, name: str, attempt: int) -> Path:
        return self._dir / "containers" / name / f"{attempt}.message"

    async def _create_and_start(
        self, pod: Pod, move: StartContainer, config: cri_pb.ContainerConfig
    ) -> str:
        name, events = move.container.name, self._host.events
        sandbox = self._sandbox_config(pod, move.sandbox.attempt)
        try:
            container_id = await self._runtime.create_container(move.sandbox.id, config, sandbox)
        except RuntimeRefused as refused:
            raise Retry("CreateContainerError", str(refused)) from refused
        events.normal(pod, "Created", f"Created container {name}")
        try:
            await self._runtime.start_container(container_id)
        except RuntimeRefused as refused:
            raise Retry("RunContainerError", str(refused)) from refused
        events.normal(pod, "Started", f"Started container {name}")
        return container_id

    async def _post_start(self, pod: Pod, move: StartContainer, container_id: str) -> None:
        hook = move.container.lifecycle.post_start if move.container.lifecycle else None
        if hook is None:
            return
        sandbox, container = move.sandbox, move.container
        target = Target(self._runtime, container_id, container, sandbox.ip, sandbox.netns)
        try:
            await probe.carry_out(target, hook, HOOK_TIMEOUT_S)
        except (probe.Failed, RuntimeRefused) as failed:
            events = self._host.events
            events.warning(pod, "FailedPostStartHook", f"PostStartHook failed: {failed}")
            grace_s = float(pod.spec.termination_grace_period_seconds)
            await self._runtime.stop_container(container_id, grace_s)

    async def stop_container(self, pod: Pod, move: StopContainer, target: Target | None) -> None:
        """Carry out the preStop hook, then stop within the grace period."""
        why = move.why or f"Stopping container {move.name}"
        self._host.events.normal(pod, "Killing", why)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        grace_s = move.grace_s
        hook = (
            target.container.lifecycle.pre_stop if target and target.container.lifecycle else None
        )
        if target is not None and hook is not None and grace_s > 0:
            try:
                await probe.carry_out(target, hook, grace_s)
            except (probe.Failed, RuntimeRefused) as failed:
                message = f"PreStopHook failed: {failed}"
                self._host.events.warning(pod, "FailedPreStopHook", message)
            grace_s = max(grace_s - (loop.time() - begun), STOP_GRACE_MIN_S)
        await self._runtime.stop_container(move.id, grace_s)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await whole(self._runtime.stop_sandbox(sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await whole(self._stop_and_remove(sandbox_id))

    async def _stop_and_remove(self, sandbox_id: str) -> None:
        await self._runtime.stop_sandbox(sandbox_id)
        await self._runtime.remove_sandbox(sandbox_id)

    async def remove_container(self, move: RemoveContainer) -> None:
        """Remove an ended container with its log and message."""
        await self._runtime.remove_container(move.id)
        await asyncio.to_thread(self._remove_files, move.name, move.attempt)

    def _remove_files(self, name: str, attempt: int) -> None:
        logs.remove(logs.path_of(self._dir, name, attempt))
        self._message_file(name, attempt).unlink(missing_ok=True)

    async def clean_up(self) -> None:
        """Remove the pod's folder, mounts and cgroup. Retry while something holds them."""
        await asyncio.to_thread(clean_up, self._dir, self._cgroup)

    def termination_message(self, container: Container, ended: cri.Container) -> str:
        """Return what the container said at its end, as its policy asks."""
        file = self._message_file(ended.name, ended.attempt)
        text = b""
        with contextlib.suppress(OSError), file.open("rb") as opened:
            text = opened.read(TERMINATION_MESSAGE_MAX)
        fallback = container.termination_message_policy == "FallbackToLogsOnError"
        if not text and fallback and ended.exit_code != 0:
            text = self._last_words(ended)
        return text.decode(errors="replace")

    def _last_words(self, ended: cri.Container) -> bytes:
        log = logs.path_of(self._dir, ended.name, ended.attempt)
        return logs.last(log, FALLBACK_LINES)[-FALLBACK_BYTES:]


def not_carried_out(pod: Pod) -> Iterator[tuple[str, str]]:
    """Yield what the pod asks for and this node does not do, as event reasons and messages."""
    spec = pod.spec
    if any(port.host_port for c in spec.containers for port in c.ports):
        yield "HostPortNotSupported", "hostPort is not opened: reach the pod at its own address"
    if spec.image_pull_secrets:
        yield (
            "FailedToRetrieveImagePullSecret",
            "imagePullSecrets are not used: pulls are anonymous",
        )
    if spec.ephemeral_containers:
        yield "EphemeralContainersNotSupported", "ephemeral containers are not started"
    if spec.virtual_machine is not None and spec.virtual_machine.power_spec in (
        "Paused",
        "Suspended",
    ):
        yield "PowerStateNotSupported", "powerSpec Paused and Suspended are not acted on"


def clean_up(folder: Path, cgroup: str) -> None:
    """Remove a pod's folder and cgroup. Retry while a mount or a process holds them."""
    try:
        volumes.remove(folder)
    except OSError as fault:
        raise Retry("FailedCleanUp", f"cannot remove {folder}: {fault}") from fault
    if not podcgroup.remove(cgroup):
        raise Retry("FailedCleanUp", f"cgroup {cgroup} still holds processes")


_PROPAGATION = {
    "None": cri_pb.PROPAGATION_PRIVATE,
    "HostToContainer": cri_pb.PROPAGATION_HOST_TO_CONTAINER,
    "Bidirectional": cri_pb.PROPAGATION_BIDIRECTIONAL,
}
