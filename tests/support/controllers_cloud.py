"""A real API server with the real controllers, and a hand that plays scheduler and node."""

import asyncio
import time
from contextlib import asynccontextmanager

from msgspec.structs import replace

from apiserver import admin, folder, identity, serving
from ursa.base.clock import rfc3339, rfc3339_micro
from ursa.base.errors import ApiError, NotFound
from ursa.client import Client, Key
from ursa.cmd.controllers import ControllersConfig, serve
from ursa.kinds.container import Container
from ursa.kinds.deployment import Deployment, DeploymentSpec
from ursa.kinds.lease import Lease, LeaseSpec
from ursa.kinds.node import Node, NodeStatus
from ursa.kinds.part import Condition, LabelSelector, ObjectMeta
from ursa.kinds.pod import Pod, PodSpec, PodTemplate, TemplateMeta
from ursa.kinds.tenant import Tenant

CA = "-----BEGIN CERTIFICATE-----"


@asynccontextmanager
async def controllers(running, tmp_path, **options):
    """Run the controllers with their own identity until the block ends."""
    ready_file = tmp_path / "ready"
    config = ControllersConfig(
        name="controllers",
        ready_file=str(ready_file),
        api_url=running.url,
        tls=identity("system:kube-controller-manager"),
        ca_file=str(folder() / "ca.crt"),
        **options,
    )
    task = asyncio.create_task(serve(config, CA))
    try:
        await until(lambda: ready_file.exists() or (task.done() and task.result()))
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def cloud(tmp_path, **options):
    async with (
        serving() as running,
        Client(running.url, admin()) as client,
        controllers(running, tmp_path, **options),
    ):
        yield Cloud(running, client)


async def until(holds, within_s=5.0):
    """Return the first true answer of `holds`, which may be async."""
    async with asyncio.timeout(within_s):
        while True:
            answer = holds()
            answer = await answer if asyncio.iscoroutine(answer) else answer
            if answer:
                return answer
            await asyncio.sleep(0.01)


class Cloud:
    def __init__(self, running, client):
        self.running = running
        self.client = client

    async def tenant(self, name, **spec):
        """Make a tenant. Return the seconds until it was ready."""
        began = time.monotonic()
        await self.client.create(Tenant(metadata=ObjectMeta(name=name)))
        await until(lambda: self.is_ready(name))
        return time.monotonic() - began

    async def is_ready(self, name):
        tenant = await self.client.get(Tenant, name=name)
        return any(c.type == "Ready" and c.status == "True" for c in tenant.status.conditions)

    async def is_gone(self, cls, key):
        try:
            await self.client.get(cls, key)
        except NotFound:
            return True
        return False

    async def get(self, cls, name, namespace="default", tenant="acme"):
        return await self.client.get(cls, Key(tenant, namespace, name))

    async def list(self, cls, tenant="acme", namespace="default"):
        return (await self.client.list(cls, tenant=tenant, namespace=namespace)).items

    async def deployment(self, name="web", *, replicas=3, image="busybox", **spec):
        labels = {"app": name}
        return await self.client.create(
            Deployment(
                metadata=ObjectMeta(name=name, tenant="acme", namespace="default"),
                spec=DeploymentSpec(
                    replicas=replicas,
                    selector=LabelSelector(match_labels=labels),
                    template=PodTemplate(
                        metadata=TemplateMeta(labels=labels),
                        spec=PodSpec(containers=(Container(name="c", image=image),)),
                    ),
                    **spec,
                ),
            )
        )

    async def node(self, name="n1", *, ready="True"):
        made = await self.client.create(Node(metadata=ObjectMeta(name=name)), exist_ok=True)
        await self.client.update_status(made, NodeStatus(conditions=(ready_condition(ready),)))

    async def beat(self, name):
        """Renew a node's lease."""
        key = Key("system", "kube-node-lease", name)
        spec = LeaseSpec(holder_identity=name, renew_time=rfc3339_micro(time.time()))
        try:
            await self.client.patch(Lease, key, {"spec": spec})
        except NotFound:
            metadata = ObjectMeta(tenant=key.tenant, namespace=key.namespace, name=name)
            await self.client.create(Lease(metadata=metadata, spec=spec))

    @asynccontextmanager
    async def running_pods(self, node="n1"):
        """Play scheduler and node: bind every pod, make it ready, let it end when it is told."""
        task = asyncio.create_task(self._run_pods(node))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _run_pods(self, node):
        while True:
            for pod in (await self.client.list(Pod)).items:
                try:
                    await self._step(pod, node)
                except ApiError:  # it has changed meanwhile: the next round looks again
                    continue
            await asyncio.sleep(0.01)

    async def _step(self, pod, node):
        if pod.metadata.deletion_timestamp:
            await self.client.delete(pod, missing_ok=True, grace_period_s=0)
        elif not pod.spec.node_name:
            await self.client.bind(pod, node)
        elif pod.status.phase == "Pending":
            others = [c for c in pod.status.conditions if c.type != "Ready"]
            conditions = (*others, ready_condition("True"))
            status = replace(pod.status, phase="Running", conditions=conditions)
            await self.client.update_status(pod, status)


def ready_condition(status):
    now = rfc3339(time.time())
    return Condition(type="Ready", status=status, last_transition_time=now, last_heartbeat_time=now)
