"""The loop against a real API server: what is pending gets bound, or is told why not."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from apiserver import admin, identity, serving
from ursa.arktos.scheduler.scheduler import Scheduler, backoff_s
from ursa.base.clock import WallClock
from ursa.base.errors import Conflict
from ursa.client import Client, Key, Lister, Ref, key_of
from ursa.kinds.container import Container, ResourceRequirements
from ursa.kinds.namespace import Namespace
from ursa.kinds.node import Node, NodeSpec, NodeStatus
from ursa.kinds.part import Condition, ObjectMeta
from ursa.kinds.pod import Pod, PodSpec

READY = tuple(Condition(type=t, status="True") for t in ("Ready", "ContainerRuntimeReady"))


def pod(name: str, *, cpu="100m", **spec) -> Pod:
    container = Container(
        name="c", image="busybox", resources=ResourceRequirements(requests={"cpu": cpu})
    )
    metadata = ObjectMeta(tenant="system", namespace="default", name=name)
    return Pod(metadata=metadata, spec=PodSpec(containers=(container,), **spec))


async def add_node(client: Client, name: str, cpu="4") -> None:
    node = await client.create(Node(metadata=ObjectMeta(name=name)))
    offered = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
    await client.update_status(node, NodeStatus(allocatable=offered, conditions=READY))


@pytest.fixture
async def cloud():
    """A running API server and a client of its operator."""
    async with serving() as api, Client(api.url, admin()) as client:
        yield api, client


@asynccontextmanager
async def scheduling(api):
    """Run a scheduler with its own identity, as the process does."""
    tls = identity("system:kube-scheduler")
    async with Client(api.url, tls) as client, asyncio.TaskGroup() as tasks:
        listers = Lister(client, Pod), Lister(client, Node), Lister(client, Namespace)
        scheduler = Scheduler(client, *listers, WallClock())
        running = [tasks.create_task(lister.run()) for lister in listers]
        for lister in listers:
            await lister.synced()
        running.append(tasks.create_task(scheduler.run()))
        yield scheduler
        for task in running:
            task.cancel()


async def until(client: Client, holds, name: str) -> Pod:
    """Return the pod once `holds` says so of it, as a watch sees it."""
    pods: Lister[Pod] = Lister(client, Pod, tenant="system")
    seen: asyncio.Future[Pod] = asyncio.get_running_loop().create_future()

    def look(key: Key, before: Pod | None, after: Pod | None) -> None:
        if key.name == name and after is not None and holds(after) and not seen.done():
            seen.set_result(after)

    pods.on_change(look)
    watching = asyncio.ensure_future(pods.run())
    try:
        async with asyncio.timeout(10):
            return await seen
    finally:
        watching.cancel()


def bound(seen: Pod) -> bool:
    return seen.spec.node_name != ""


def refused(seen: Pod) -> bool:
    return any(c.type == "PodScheduled" and c.status == "False" for c in seen.status.conditions)


async def events(client: Client, reason: str) -> list[dict]:
    path = "/api/v1/tenants/system/namespaces/default/events"
    return [
        event
        for event in json.loads(await client.request("GET", path))["items"]
        if event["reason"] == reason
    ]


async def until_event(client: Client, reason: str) -> dict:
    async with asyncio.timeout(10):
        while not (found := await events(client, reason)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found[0]


async def test_a_pending_pod_is_bound_and_an_event_says_where(cloud):
    api, client = cloud
    await add_node(client, "a")
    async with scheduling(api):
        await client.create(pod("p"))
        seen = await until(client, bound, "p")
        assert seen.spec.node_name == "a"
        conditions = {c.type: c.status for c in seen.status.conditions}
        assert conditions["PodScheduled"] == "True"
        event = await until_event(client, "Scheduled")
        assert event["message"] == "Successfully assigned default/p to a"


async def test_what_waited_before_the_scheduler_came_is_bound(cloud):
    api, client = cloud
    await add_node(client, "a")
    await client.create(pod("p"))
    async with scheduling(api):
        assert (await until(client, bound, "p")).spec.node_name == "a"


async def test_a_pod_that_fits_nowhere_is_told_why_and_bound_once_there_is_room(cloud):
    api, client = cloud
    await add_node(client, "a", cpu="1")
    await add_node(client, "b", cpu="1")
    async with scheduling(api):
        await client.create(pod("p", cpu="2"))
        seen = await until(client, refused, "p")
        (condition,) = (c for c in seen.status.conditions if c.type == "PodScheduled")
        assert condition.reason == "Unschedulable"
        assert condition.message == "0/2 nodes are available: 2 Insufficient cpu."
        event = await until_event(client, "FailedScheduling")
        assert (event["type"], event["message"]) == ("Warning", condition.message)
        await add_node(client, "c")
        assert (await until(client, bound, "p")).spec.node_name == "c"


async def test_a_pod_that_goes_makes_room_for_the_next(cloud):
    api, client = cloud
    await add_node(client, "a", cpu="1")
    async with scheduling(api):
        first = await client.create(pod("p", cpu="1"))
        await until(client, bound, "p")
        await client.create(pod("q", cpu="1"))
        await until(client, refused, "q")
        await client.delete(first, grace_period_s=0)
        await until(client, bound, "q")


async def test_a_cordoned_node_gets_no_pods_until_it_is_open_again(cloud):
    api, client = cloud
    await client.create(Node(metadata=ObjectMeta(name="a"), spec=NodeSpec(unschedulable=True)))
    node = await client.get(Node, Key("", "", "a"))
    status = NodeStatus(allocatable={"cpu": "1", "pods": "9"}, conditions=READY)
    await client.update_status(node, status)
    async with scheduling(api):
        await client.create(pod("p"))
        await until(client, refused, "p")
        await client.patch(Node, Key("", "", "a"), {"spec": {"unschedulable": None}})
        await until(client, bound, "p")


async def test_pods_of_other_schedulers_and_gated_pods_are_left_alone(cloud):
    api, client = cloud
    await add_node(client, "a")
    other = await client.create(pod("other", scheduler_name="mine"))
    async with scheduling(api):
        await client.create(pod("p"))
        await until(client, bound, "p")
        assert (await client.get(Pod, key_of(other))).spec.node_name == ""


async def test_two_schedulers_bind_a_burst_and_no_node_is_overfull(cloud):
    api, client = cloud
    await add_node(client, "a", cpu="4")
    await add_node(client, "b", cpu="4")
    async with scheduling(api), scheduling(api):
        async with asyncio.TaskGroup() as tasks:
            for number in range(40):
                tasks.create_task(client.create(pod(f"p{number}", cpu="100m")))
        for number in range(40):
            await until(client, bound, f"p{number}")
    items, _ = await client.list(Pod, tenant="system")
    nodes = [item.spec.node_name for item in items]
    assert sorted(set(nodes)) == ["a", "b"] and len(nodes) == 40


async def test_a_binding_is_taken_once(cloud):
    _, client = cloud
    created = await client.create(pod("p"))
    await client.bind(created, "a")
    with pytest.raises(Conflict, match="already assigned"):
        await client.bind(created, "b")
    await client.delete(Ref(Pod, key_of(created)), grace_period_s=0)
    await client.create(pod("p"))
    with pytest.raises(Conflict):  # the successor of one name
        await client.bind(created, "a")


def test_back_off_doubles_up_to_kubernetes_bound():
    assert [backoff_s(n) for n in (1, 2, 3, 4, 5, 99)] == [1, 2, 4, 8, 10, 10]
