"""Who is told that a Service is not balanced, and how often."""

import pytest

from controllers_objects import NOW_S, meta
from ursa.arktos.controllers.service import is_balanced, notice
from ursa.kinds.service import Service, ServiceSpec


def service(**spec):
    return Service(metadata=meta("web"), spec=ServiceSpec(**spec))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"cluster_ip": "10.96.0.7"}, True),
        ({"type": "NodePort", "cluster_ip": "10.96.0.7"}, True),
        ({"cluster_ip": "None"}, False),
        ({"type": "ExternalName"}, False),
    ],
)
def test_only_a_service_whose_address_should_answer_is_told(spec, told):
    assert is_balanced(service(**spec)) == told


def test_the_notice_has_one_name_so_that_it_is_made_once():
    first, later = (notice(service(), "c", now_s) for now_s in (NOW_S, NOW_S + 99))
    assert first.metadata == later.metadata
    assert (first.reason, first.type) == ("ServiceNotBalanced", "Warning")
    assert first.involved_object.uid == "uid-web"
