"""How much of a node a pod holds."""

import pytest

from ursa.arktos.scheduler.demand import requests_of
from ursa.kinds.container import Container, ResourceRequirements
from ursa.kinds.part import ObjectMeta
from ursa.kinds.pod import Pod, PodSpec
from ursa.kinds.vm import VirtualMachine


def container(cpu: str, *, limit=None, sidecar=False) -> Container:
    resources = ResourceRequirements(
        requests={"cpu": cpu} if cpu else {}, limits={"cpu": limit} if limit else {}
    )
    return Container(resources=resources, restart_policy="Always" if sidecar else None)


def cpu_of(**spec) -> int:
    return requests_of(Pod(metadata=ObjectMeta(), spec=PodSpec(**spec))).get("cpu", 0)


@pytest.mark.parametrize(
    ("containers", "initial", "millicores"),
    [
        ([], [], 0),
        (["100m", "200m"], [], 300),
        (["100m"], ["500m", "400m"], 500),
        (["1"], ["500m"], 1000),
    ],
)
def test_init_containers_run_one_by_one_before_the_others(containers, initial, millicores):
    assert millicores == cpu_of(
        containers=tuple(map(container, containers)), init_containers=tuple(map(container, initial))
    )


def test_a_sidecar_runs_beside_what_comes_after_it():
    initial = (container("300m"), container("100m", sidecar=True), container("400m"))
    assert cpu_of(containers=(container("200m"),), init_containers=initial) == 500
    assert cpu_of(containers=(container("700m"),), init_containers=initial) == 800


def test_a_limit_without_a_request_is_the_request():
    assert cpu_of(containers=(container("", limit="2"),)) == 2000
    assert cpu_of(containers=(container("1", limit="2"),)) == 1000


def test_a_machine_holds_what_its_limits_say():
    resources = ResourceRequirements(limits={"cpu": "2", "memory": "1Gi"})
    pod = Pod(
        metadata=ObjectMeta(), spec=PodSpec(virtual_machine=VirtualMachine(resources=resources))
    )
    assert requests_of(pod) == {"cpu": 2000, "memory": 2**30, "pods": 1}


def test_overhead_is_added_and_the_pods_own_requests_win():
    assert cpu_of(containers=(container("1"),), overhead={"cpu": "250m"}) == 1250
    whole = ResourceRequirements(requests={"cpu": "3"})
    assert cpu_of(containers=(container("1"),), resources=whole) == 3000


def test_a_quantity_that_is_none_is_a_value_error():
    with pytest.raises(ValueError, match="lots"):
        cpu_of(containers=(container("lots"),))
