"""Which ports a pod gets."""

import pytest
from msgspec.structs import replace

from controllers_objects import controlled, meta, pod
from ursa.arktos.controllers.podnetwork import plan
from ursa.kinds.part import Condition
from ursa.kinds.pod import PodSpec
from ursa.kinds.port import Port, PortStatus
from ursa.kinds.vm import Nic


def bound(**spec):
    return replace(pod("web", owner=None), spec=PodSpec(**{"node_name": "n1"} | spec))


def test_a_bound_pod_gets_a_port_on_its_node_that_it_owns():
    (port,) = plan(bound(vpc="blue"), []).create
    assert (port.metadata.tenant, port.metadata.namespace) == ("acme", "default")
    assert (port.spec.node_name, port.spec.nic, port.spec.vpc) == ("n1", "eth0", "blue")
    assert (port.spec.device.kind, port.spec.device.uid) == ("Pod", "uid-web")
    (owner,) = port.metadata.owner_references
    assert (owner.kind, owner.uid, owner.controller) == ("Pod", "uid-web", True)


@pytest.mark.parametrize(
    "other",
    [
        bound(host_network=True),
        bound(node_name=""),
        pod("web", phase="Succeeded"),
        pod("web", deletion_timestamp="2026-01-01T00:00:00Z"),
    ],
    ids=["host network", "not bound", "finished", "terminating"],
)
def test_other_pods_get_none(other):
    assert plan(other, []).create == ()


def test_every_nic_gets_a_port_with_its_subnet_and_address():
    nics = (Nic(name="eth0"), Nic(subnet_name="back", ip_address="10.0.9.9"))
    first, second = plan(bound(nics=nics), []).create
    assert (first.spec.nic, first.spec.subnet) == ("eth0", "")
    assert (second.spec.nic, second.spec.subnet, second.spec.ip) == ("eth1", "back", "10.0.9.9")
    assert first.metadata.name != second.metadata.name


def test_a_plan_carried_out_leaves_nothing_to_do():
    made = plan(bound(), []).create
    assert plan(bound(), made).create == ()


def test_a_plan_made_twice_asks_for_the_same_writes():
    assert plan(bound(), []) == plan(bound(), [])


def test_the_port_of_a_namesake_that_is_gone_is_not_taken_for_this_pods():
    again = bound()
    again = replace(again, metadata=replace(again.metadata, uid="other"))
    (first,), (second,) = plan(bound(), []).create, plan(again, []).create
    assert first.metadata.name != second.metadata.name


def test_a_refused_port_is_a_failure_with_its_reason():
    ready = Condition(type="Ready", status="False", message="subnet blue has no free address")
    port = Port(
        metadata=meta("p", owner_references=controlled("Pod", "web")),
        status=PortStatus(phase="Failed", conditions=(ready,)),
    )
    assert plan(bound(), [port]).failures == ("Interface eth0: subnet blue has no free address",)
