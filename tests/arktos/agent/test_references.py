"""What variables and files a pod's references become."""

from __future__ import annotations

import pytest

from agent_objects import pod
from ursa.arktos.agent import references
from ursa.arktos.agent.references import ConfigFault, Place, Reference, expand, field_value
from ursa.kinds.container import ResourceFieldSelector

PLACE = Place("node-1", "100.64.0.2", "10.0.0.5", {"cpu": "2", "memory": "1Gi"})


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("$(A)b", "1b"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NONE)", "$(NONE)"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
    ],
)
def test_references_are_expanded_as_kubernetes_does(text, expanded):
    assert expand(text, {"A": "1"}) == expanded


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.tenant", "acme"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels", 'app="web"'),
        ("spec.nodeName", "node-1"),
        ("status.hostIP", "100.64.0.2"),
        ("status.podIP", "10.0.0.5"),
    ],
)
def test_the_downward_api_tells_fields(path, value):
    assert field_value(pod(labels={"app": "web"}), path, PLACE) == value


def test_an_unknown_field_path_is_a_fault():
    with pytest.raises(ConfigFault, match=r"unsupported fieldPath: spec\.secret"):
        field_value(pod(), "spec.secret", PLACE)


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "1", "1"),
        ("limits.cpu", "1m", "500"),
        ("requests.memory", "1Mi", "64"),
        ("limits.memory", "1Mi", "1024"),  # no limit: what the node can give
        ("requests.cpu", "1", "0"),
    ],
)
def test_resources_are_told_in_units_of_the_divisor_rounded_up(resource, divisor, value):
    amounts = {"limits": {"cpu": "500m"}, "requests": {"memory": "64Mi"}}
    made = pod(containers=[{"name": "main", "image": "b", "resources": amounts}])
    selector = ResourceFieldSelector(resource=resource, divisor=divisor)
    assert references.resource_value(made, selector, PLACE, "main") == value


def environment(objects, **container):
    made = pod(containers=[{"name": "main", "image": "b"} | container])
    return references.environment(made, made.spec.containers[0], objects, PLACE)


def test_variables_override_what_whole_objects_give():
    source = [{"prefix": "P_", "configMapRef": {"name": "all"}}]
    objects = {Reference("configmap", "all"): {"A": b"1", "B": b"2"}}
    env = environment(objects, envFrom=source, env=[{"name": "P_B", "value": "3"}])
    assert env == {"P_A": "1", "P_B": "3"}


@pytest.mark.parametrize("optional", [True, False])
def test_a_missing_key_is_left_out_if_optional_and_named_otherwise(optional):
    source = {"secretKeyRef": {"name": "keys", "key": "k", "optional": optional}}
    objects = {Reference("secret", "keys"): {}}
    env = [{"name": "V", "valueFrom": source}]
    if optional:
        assert environment(objects, env=env) == {}
    else:
        with pytest.raises(ConfigFault, match="couldn't find key k in secret keys"):
            environment(objects, env=env)
