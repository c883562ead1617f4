"""The controllers against the real API server, with their own identity and rights."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from controllers_cloud import CA, cloud, controllers, until
from ursa.client import Key
from ursa.kinds.configmap import ConfigMap
from ursa.kinds.container import Container
from ursa.kinds.deployment import Deployment
from ursa.kinds.event import Event
from ursa.kinds.namespace import Namespace
from ursa.kinds.node import Node
from ursa.kinds.part import ObjectMeta, OwnerReference
from ursa.kinds.pod import Pod, PodSpec
from ursa.kinds.port import Port
from ursa.kinds.registry import RESOURCES
from ursa.kinds.replicaset import ReplicaSet
from ursa.kinds.service import Service, ServicePort, ServiceSpec
from ursa.kinds.serviceaccount import ServiceAccount
from ursa.kinds.subnet import Subnet
from ursa.kinds.tenant import Tenant
from ursa.kinds.vpc import Vpc


@pytest.fixture
async def acme(tmp_path):
    async with cloud(tmp_path) as made:
        await made.tenant("acme")
        yield made


def left_of(made, tenant):
    """Return every object that the API server still holds of a tenant."""
    cache = made.running.app.cache
    return [
        (resource.plural, doc["metadata"]["name"])
        for resource in RESOURCES
        if resource.scope != "cluster" and not resource.is_virtual
        for doc in cache.list(resource, tenant, None)
    ]


async def progress(made, name="web"):
    deployment = await made.get(Deployment, name)
    return next(
        (c.reason for c in deployment.status.conditions if c.type == "Progressing"), ""
    ), deployment


async def rolled_out(made, name="web"):
    reason, deployment = await progress(made, name)
    done = deployment.status.observed_generation == deployment.metadata.generation
    return done and reason == "NewReplicaSetAvailable" and deployment


async def test_a_tenant_is_ready_with_all_its_furniture_within_a_second(tmp_path):
    async with cloud(tmp_path) as made:
        took_s = await made.tenant("acme")
        print(f"tenant ready in {took_s:.3f} s")
        assert took_s < 1
        namespaces = await made.list(Namespace, namespace="")
        assert {n.metadata.name for n in namespaces} == {"default", "kube-system", "kube-public"}
        assert (await made.get(Vpc, "default", "")).spec.cidr == "10.0.0.0/16"
        for namespace in namespaces:
            await until(lambda ns=namespace: furnished(made, ns.metadata.name))


async def furnished(made, namespace):
    accounts = await made.list(ServiceAccount, namespace=namespace)
    root_ca = await made.list(ConfigMap, namespace=namespace)
    return [a.metadata.name for a in accounts] == ["default"] and (
        [c.data for c in root_ca] == [{"ca.crt": CA}]
    )


async def test_furniture_that_is_removed_comes_back(acme):
    account = await acme.get(ServiceAccount, "default")
    await acme.client.delete(account)
    subnet = await acme.get(Subnet, "default", "")
    await acme.client.delete(subnet)
    again = await until(lambda: replaced(acme, ServiceAccount, "default", account, "default"))
    assert again.metadata.uid != account.metadata.uid
    assert await until(lambda: replaced(acme, Subnet, "default", subnet, ""))


async def replaced(made, cls, name, old, namespace):
    found = [o for o in await made.list(cls, namespace=namespace) if o.metadata.name == name]
    return found[0] if found and found[0].metadata.uid != old.metadata.uid else None


async def test_a_deleted_tenant_leaves_nothing(acme):
    await acme.node()
    async with acme.running_pods():
        await acme.deployment()
        await until(lambda: rolled_out(acme))
        await acme.client.delete(await acme.client.get(Tenant, name="acme"))
        await until(lambda: acme.is_gone(Tenant, Key("", "", "acme")))
    assert left_of(acme, "acme") == []


async def test_a_tenant_that_cannot_go_says_what_is_left(acme):
    held = ConfigMap(
        metadata=ObjectMeta(
            name="held", tenant="acme", namespace="default", finalizers=("example.com/mine",)
        )
    )
    held = await acme.client.create(held)
    await acme.client.delete(await acme.client.get(Tenant, name="acme"))
    namespace = await until(lambda: told(acme, Namespace, Key("acme", "", "default")))
    assert "configmaps. has 1 resource instances" in namespace["NamespaceContentRemaining"]
    assert "example.com/mine in 1" in namespace["NamespaceFinalizersRemaining"]
    tenant = await until(lambda: told(acme, Tenant, Key("", "", "acme")))
    assert "namespaces. has" in tenant["TenantContentRemaining"]
    await acme.client.patch(ConfigMap, held, {"metadata": {"finalizers": []}})
    await until(lambda: acme.is_gone(Tenant, Key("", "", "acme")), within_s=10)
    assert left_of(acme, "acme") == []


async def told(made, cls, key):
    obj = await made.client.get(cls, key)
    return {c.type: c.message for c in obj.status.conditions if "Remaining" in c.type}


async def test_pods_end_before_the_rest_of_their_namespace_goes(acme):
    await acme.node()
    await acme.client.create(Namespace(metadata=ObjectMeta(name="dev", tenant="acme")))
    await until(lambda: furnished(acme, "dev"))
    pod = await bound_pod(acme, namespace="dev")
    await acme.client.delete(await acme.get(Namespace, "dev", ""))
    await until(lambda: told(acme, Namespace, Key("acme", "", "dev")))
    assert await furnished(acme, "dev")
    assert len(await acme.list(Port, namespace="dev")) == 1
    await acme.client.delete(pod, grace_period_s=0)
    await until(lambda: acme.is_gone(Namespace, Key("acme", "", "dev")))


async def test_a_deployment_rolls_out_updates_and_is_undone(acme):
    await acme.node()
    async with acme.running_pods():
        await acme.deployment()
        first = await until(lambda: rolled_out(acme))
        assert len(await acme.list(Pod)) == 3
        images = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "v2"}]}}}}
        await acme.client.patch(Deployment, first, images, kind="strategic")
        second = await until(lambda: rolled_out(acme))
        assert second.metadata.annotations["deployment.kubernetes.io/revision"] == "2"
        pods = await until(lambda: only_image(acme, "v2"))
        assert len(pods) == 3
        undo = [{"op": "replace", "path": "/spec/template", "value": first.spec.template}]
        await acme.client.patch(Deployment, second, undo, kind="json")
        third = await until(lambda: rolled_out(acme))
        assert third.metadata.annotations["deployment.kubernetes.io/revision"] == "3"
        assert len(await acme.list(ReplicaSet)) == 2
        await until(lambda: only_image(acme, "busybox"))


async def only_image(made, image):
    pods = await made.list(Pod)
    return pods if {p.spec.containers[0].image for p in pods} == {image} else None


async def test_scaling_to_zero_and_back(acme):
    await acme.node()
    async with acme.running_pods():
        made = await acme.deployment()
        await until(lambda: rolled_out(acme))
        for replicas in (0, 5):
            await acme.client.patch(Deployment, made, {"spec": {"replicas": replicas}})
            await until(lambda n=replicas: has_available(acme, n))
            assert len(await acme.list(Pod)) == replicas


async def has_available(made, number):
    status = (await made.get(Deployment, "web")).status
    return status.available_replicas == status.replicas == number


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_a_deleted_deployment_takes_its_sets_and_pods_along(acme, propagation):
    await acme.node()
    async with acme.running_pods():
        made = await acme.deployment()
        await until(lambda: rolled_out(acme))
        await acme.client.delete(made, propagation=propagation)
        await until(lambda: acme.is_gone(Deployment, Key("acme", "default", "web")))
        await until(lambda: nothing_of(acme, ReplicaSet, Pod, Port))


async def nothing_of(made, *kinds):
    return not any([await made.list(cls) for cls in kinds])


async def test_orphans_stay_and_are_adopted_by_a_successor(acme):
    await acme.node()
    async with acme.running_pods():
        made = await acme.deployment()
        await until(lambda: rolled_out(acme))
        (rs,) = await acme.list(ReplicaSet)
        await acme.client.delete(made, propagation="Orphan")
        await until(lambda: acme.is_gone(Deployment, Key("acme", "default", "web")))
        (orphan,) = await acme.list(ReplicaSet)
        assert orphan.metadata.owner_references == ()
        await acme.deployment()
        await until(lambda: rolled_out(acme))
        (adopted,) = await acme.list(ReplicaSet)
        assert adopted.metadata.uid == rs.metadata.uid
        assert [o.kind for o in adopted.metadata.owner_references] == ["Deployment"]


async def test_what_an_absent_owner_left_is_collected_and_what_a_live_one_owns_stays(acme):
    owner = await acme.client.create(config("owner"))
    reference = OwnerReference(
        api_version="v1", kind="ConfigMap", name="owner", uid=owner.metadata.uid
    )
    wrong = OwnerReference(api_version="v1", kind="ConfigMap", name="owner", uid="another")
    await acme.client.create(config("stays", owner_references=(reference,)))
    await acme.client.create(config("goes", owner_references=(wrong,)))
    await until(lambda: acme.is_gone(ConfigMap, Key("acme", "default", "goes")))
    assert not await acme.is_gone(ConfigMap, Key("acme", "default", "stays"))


async def test_an_owner_in_another_tenant_is_no_owner(acme):
    await acme.tenant("beta")
    owner = await acme.client.create(config("owner"))
    reference = OwnerReference(
        api_version="v1", kind="ConfigMap", name="owner", uid=owner.metadata.uid
    )
    await acme.client.create(config("claims", tenant="beta", owner_references=(reference,)))
    await until(lambda: acme.is_gone(ConfigMap, Key("beta", "default", "claims")))


def config(name, *, tenant="acme", **metadata):
    return ConfigMap(metadata=ObjectMeta(name=name, tenant=tenant, namespace="default", **metadata))


async def test_a_bound_pod_has_its_port_in_no_time_and_loses_it_with_itself(acme):
    await acme.node()
    pod = await acme.client.create(lone_pod())
    await acme.client.bind(pod, "n1")
    began = time.monotonic()
    (port,) = await until(lambda: acme.list(Port))
    assert time.monotonic() - began < 0.2
    assert (port.spec.node_name, port.spec.device.uid) == ("n1", pod.metadata.uid)
    await acme.client.delete(pod, grace_period_s=0)
    await until(lambda: nothing_of(acme, Pod, Port))


def lone_pod(namespace="default"):
    return Pod(
        metadata=ObjectMeta(name="lone", tenant="acme", namespace=namespace),
        spec=PodSpec(containers=(Container(name="c", image="busybox"),)),
    )


async def bound_pod(made, *, namespace="default", node="n1"):
    pod = await made.client.create(lone_pod(namespace))
    await made.client.bind(pod, node)
    await until(lambda: made.list(Port, namespace=namespace))
    return pod


async def test_a_service_is_told_once_that_nothing_balances_it(acme):
    service = Service(
        metadata=ObjectMeta(name="web", tenant="acme", namespace="default"),
        spec=ServiceSpec(ports=(ServicePort(port=80),), selector={"app": "web"}),
    )
    service = await acme.client.create(service)
    (event,) = await until(lambda: acme.list(Event))
    assert (event.reason, event.type) == ("ServiceNotBalanced", "Warning")
    await acme.client.patch(Service, service, {"metadata": {"labels": {"a": "b"}}})
    await acme.client.patch(Service, service, {"metadata": {"labels": {"a": "c"}}})
    (event,) = await acme.list(Event)
    assert event.count == 1


async def test_pods_of_a_silent_node_are_evicted_while_another_is_heard(tmp_path):
    async with cloud(tmp_path, node_grace_s=0.3, eviction_s=0) as made:
        await made.tenant("acme")
        await made.node("n1")
        await made.node("n2")
        async with beating(made, "n2"):
            await bound_pod(made, node="n1")
            await until(lambda: is_lost(made, "n1"), within_s=15)
            pod = await until(lambda: terminating(made), within_s=15)
            assert not await is_lost(made, "n2")
    assert any(c.reason == "DeletionByTaintManager" for c in pod.status.conditions)


@asynccontextmanager
async def beating(made, name):
    """Renew a node's lease for as long as the block lasts."""

    async def beat():
        while True:
            await made.beat(name)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def is_lost(made, name):
    node = await made.client.get(Node, name=name)
    keys = {taint.key for taint in node.spec.taints}
    return not node.status.ready and "node.kubernetes.io/unreachable" in keys


async def terminating(made):
    (pod,) = await made.list(Pod)
    return pod if pod.metadata.deletion_timestamp else None


async def test_controllers_that_are_restarted_make_no_duplicates(tmp_path):
    async with cloud(tmp_path) as made:
        await made.tenant("acme")
        await made.node()
        async with made.running_pods():
            await made.deployment(replicas=6)
            async with controllers(made.running, tmp_path):
                await until(lambda: rolled_out(made))
            assert len(await made.list(Pod)) == 6
            assert len(await made.list(ReplicaSet)) == 1
