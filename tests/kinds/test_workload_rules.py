# A message stands whole, so that a search finds it.
# ruff: noqa: E501
"""One line a rule of Deployments and ReplicaSets."""

import pytest

from documents import deployment, faults, merged

IMMUTABLE = "field is immutable"


def template(**spec):
    return deployment(template={"spec": spec})


@pytest.mark.parametrize(
    ("doc", "fault"),
    [
        (deployment(selector=None), "spec.selector: Required value"),
        (
            deployment(selector={"matchLabels": None}),
            "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
        ),
        (
            deployment(selector={"matchLabels": {"app": "db"}}),
            'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match '
            "template `labels`",
        ),
        (
            deployment(replicas=-1),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            template(restartPolicy="Never"),
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        (template(containers=[]), "spec.template.spec.containers: Required value"),
        (
            deployment(progressDeadlineSeconds=5, minReadySeconds=5),
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when "
            "`maxSurge` is 0",
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxSurge": "a lot"}}),
            'spec.strategy.rollingUpdate.maxSurge: Invalid value: "a lot": a valid percent string '
            "must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used "
            "for validation is '[0-9]+%')",
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxUnavailable": "101%"}}),
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater '
            "than 100%",
        ),
        (
            deployment(strategy={"type": "Recreate", "rollingUpdate": {}}),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is "
            "'Recreate'",
        ),
    ],
)
def test_a_deployment_is_checked(doc, fault):
    assert faults("Deployment", doc) == [fault]


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet"])
def test_the_selector_of_a_workload_is_immutable(kind):
    labels = {"app": "web", "tier": "front"}
    old = deployment(template={"metadata": {"labels": labels}})
    new = merged(old, {"spec": {"selector": {"matchLabels": labels}}})
    (fault,) = faults(kind, new, old)
    assert fault.startswith("spec.selector: Invalid value: ") and fault.endswith(IMMUTABLE)
