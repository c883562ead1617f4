"""What clients that know containers alone see of a virtual machine's pod."""

import copy

import pytest

from ursa.kinds.defaults import default
from ursa.kinds.registry import find
from ursa.kinds.validation import validate

PODS = find("", "v1", "pods")


def pod(**spec):
    machine = {"name": "vm", "image": "vm", "resources": {"limits": {"memory": "128Mi"}}}
    doc = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"virtualMachine": machine}}
    doc["spec"] |= spec
    default(PODS, doc)
    return doc


def faults(doc):
    return [fault.path for fault in validate(PODS, doc, None)]


def test_a_machines_pod_shows_one_container_with_its_name_image_and_resources():
    (container,) = pod()["spec"]["containers"]
    assert (container["name"], container["image"]) == ("vm", "vm")
    assert container["resources"]["limits"] == {"memory": "128Mi"}
    assert faults(pod()) == []


def test_what_a_client_read_it_may_write_back():
    doc = pod()
    again = copy.deepcopy(doc)
    default(PODS, again)
    assert again == doc and faults(again) == []


def test_the_mirror_follows_the_machine():
    doc = pod()
    doc["spec"]["virtualMachine"]["image"] = "newer"
    default(PODS, doc)
    assert doc["spec"]["containers"][0]["image"] == "newer"


@pytest.mark.parametrize(
    "containers",
    [
        [],
        [{"name": "c", "image": "busybox"}],
        [{"name": "vm", "image": "vm", "command": ["sh"]}],
        [{"name": "vm", "image": "vm"}, {"name": "c", "image": "busybox"}],
    ],
)
def test_containers_of_ones_own_beside_a_machine_are_refused(containers):
    assert "spec.containers,virtualMachine" in faults(pod(containers=containers))
