"""Requests and limits in the kernel's units."""

from __future__ import annotations

import pytest

from agent_objects import pod
from ursa.arktos.agent import resources
from ursa.arktos.agent.resources import Limits
from ursa.kinds.container import ResourceRequirements


def container(name="c", **amounts):
    return {"name": name, "image": "b", "resources": amounts}


def limits_of(*containers, init=()):
    made = pod(containers=list(containers), initContainers=list(init))
    return resources.pod_limits(made.spec.containers, made.spec.init_containers)


def test_a_container_gets_shares_for_its_request_and_a_quota_for_its_limit():
    amounts = ResourceRequirements(requests={"cpu": "250m"}, limits={"cpu": "1", "memory": "64Mi"})
    assert resources.container_limits(amounts) == Limits(256, 100_000, 64 << 20)
    assert resources.container_limits(ResourceRequirements()) == Limits(2, 0, 0)


def test_a_quota_is_clamped_to_the_parents():
    amounts = ResourceRequirements(limits={"cpu": "4"})
    assert resources.container_limits(amounts, quota_max_us=150_000).cpu_quota_us == 150_000


def test_a_pods_limit_stands_only_if_every_container_has_it():
    bounded = container("a", limits={"cpu": "1", "memory": "10Mi"})
    assert limits_of(bounded, container("b", limits={"cpu": "1"})) == Limits(2048, 200_000, 0)
    assert limits_of(bounded, container("b")).cpu_quota_us == 0


def test_an_init_container_alone_may_need_more_than_the_rest_together():
    small = container("a", limits={"memory": "10Mi"})
    large = container("i", limits={"memory": "50Mi"})
    assert limits_of(small, init=[large]).memory_bytes == 50 << 20


@pytest.mark.parametrize(
    ("containers", "qos"),
    [
        ([container()], "BestEffort"),
        ([container(limits={"cpu": "1", "memory": "1Mi"})], "Guaranteed"),
        (
            [
                container(
                    limits={"cpu": "1", "memory": "1Mi"}, requests={"cpu": "0.5", "memory": "1Mi"}
                )
            ],
            "Burstable",
        ),
        ([container(limits={"cpu": "1"})], "Burstable"),
        ([container(limits={"cpu": "1", "memory": "1Mi"}), container("b")], "Burstable"),
    ],
)
def test_quality_of_service_follows_from_requests_and_limits(containers, qos):
    assert resources.qos_class(pod(containers=containers).spec.containers) == qos


def test_weights_span_the_whole_range_of_version_2():
    assert (resources.weight(2), resources.weight(262_144)) == (1, 10_000)


def test_a_burstable_container_is_killed_before_a_guaranteed_one_and_after_best_effort():
    asks = ResourceRequirements(requests={"memory": "512Mi"})
    score = resources.oom_score_adj("Burstable", asks, 1 << 30)
    assert score == 500
    assert resources.OOM_GUARANTEED < score < resources.OOM_BEST_EFFORT
