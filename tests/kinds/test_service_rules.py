# A message stands whole, so that a search finds it.
# ruff: noqa: E501
"""One line a rule of Services."""

import pytest

from documents import faults, service

PORT_RANGE = "must be between 1 and 65535, inclusive"
IMMUTABLE = "field is immutable"


@pytest.mark.parametrize(
    ("doc", "fault"),
    [
        (service(ports=[]), "spec.ports: Required value"),
        (
            service(ports=[{"port": 1}, {"name": "b", "port": 2}]),
            "spec.ports[0].name: Required value",
        ),
        (
            service(ports=[{"port": 0, "targetPort": 80}]),
            f"spec.ports[0].port: Invalid value: 0: {PORT_RANGE}",
        ),
        (
            service(ports=[{"name": "a", "port": 1}, {"name": "b", "port": 1}]),
            'spec.ports[1]: Duplicate value: {"port":1,"protocol":"TCP"}',
        ),
        (
            service(ports=[{"port": 1, "nodePort": 30000}]),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            service(type="Magic"),
            'spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", '
            '"LoadBalancer", "NodePort"',
        ),
        (service(type="ExternalName"), "spec.externalName: Required value"),
        (
            service(type="NodePort", clusterIP="None"),
            "spec.clusterIP: Invalid value: \"None\": may not be set to 'None' for this type of service",
        ),
    ],
)
def test_a_service_is_checked(doc, fault):
    assert faults("Service", doc) == [fault]


def test_a_service_s_address_is_immutable():
    (fault,) = faults("Service", service(clusterIP="10.96.0.2"), service(clusterIP="10.96.0.1"))
    assert fault == f'spec.clusterIP: Invalid value: "10.96.0.2": {IMMUTABLE}'
