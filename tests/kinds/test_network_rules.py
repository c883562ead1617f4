# A message stands whole, so that a search finds it.
# ruff: noqa: E501
"""One line a rule of tenants, VPCs, subnets, ports, and of leases and nodes."""

import pytest

from documents import faults, named

IMMUTABLE = "field is immutable"


@pytest.mark.parametrize(
    ("kind", "spec", "fault"),
    [
        ("Vpc", {}, "spec.cidr: Required value"),
        (
            "Vpc",
            {"cidr": "10.0.0.0/30"},
            'spec.cidr: Invalid value: "10.0.0.0/30": prefix length 30 is outside 8..28',
        ),
        (
            "Vpc",
            {"cidr": "10.0.0.1/16"},
            'spec.cidr: Invalid value: "10.0.0.1/16": must be written as its network address: 10.0.0.0/16',
        ),
        (
            "Vpc",
            {"cidr": "fd00::/64"},
            "spec.cidr: Invalid value: \"fd00::/64\": must be a valid IPv4 prefix (e.g. '10.0.0.0/16')",
        ),
        (
            "Vpc",
            {"cidr": "10.0.0.0/8", "mtuBytes": 100},
            "spec.mtuBytes: Invalid value: 100: must be between 1280 and 9000, inclusive",
        ),
        ("Subnet", {"cidr": "10.0.0.0/24"}, "spec.vpc: Required value"),
        (
            "Subnet",
            {"vpc": "v", "cidr": "10.0.0.0/24", "gateway": "10.0.1.1"},
            'spec.gateway: Invalid value: "10.0.1.1": must be a host address of 10.0.0.0/24',
        ),
        ("Port", {"device": {"name": "p"}}, "spec.device.uid: Required value"),
        (
            "Port",
            {"device": {"name": "p", "uid": "u"}, "mac": "03:00:00:00:00:01"},
            'spec.mac: Invalid value: "03:00:00:00:00:01": must be a unicast address: the first octet is even',
        ),
        (
            "Tenant",
            {"serviceCidr": "10.96.0.0/30"},
            'spec.serviceCidr: Invalid value: "10.96.0.0/30": prefix length 30 is outside 12..28',
        ),
        (
            "Tenant",
            {"storageClusterId": "64"},
            'spec.storageClusterId: Invalid value: "64": must be integer 0-63',
        ),
        (
            "Lease",
            {"leaseDurationSeconds": 0},
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        ),
        (
            "Node",
            {"taints": [{"key": "a", "effect": "Never"}]},
            'spec.taints[0].effect: Unsupported value: "Never": supported values: "NoExecute", '
            '"NoSchedule", "PreferNoSchedule"',
        ),
    ],
)
def test_networks_tenants_leases_and_nodes_are_checked(kind, spec, fault):
    assert faults(kind, named(spec=spec)) == [fault]


@pytest.mark.parametrize(
    ("kind", "old", "field", "value"),
    [
        ("Vpc", {"cidr": "10.0.0.0/16"}, "cidr", "10.1.0.0/16"),
        ("Subnet", {"vpc": "a", "cidr": "10.0.0.0/24"}, "vpc", "b"),
        ("Subnet", {"vpc": "a", "cidr": "10.0.0.0/24"}, "cidr", "10.0.1.0/24"),
        ("Port", {"device": {"name": "p", "uid": "u"}}, "nodeName", "node-2"),
        ("Tenant", {}, "serviceCidr", "10.97.0.0/16"),
        ("Tenant", {}, "defaultVpcCidr", "10.1.0.0/16"),
    ],
)
def test_where_a_network_lies_is_immutable(kind, old, field, value):
    found = faults(kind, named(spec=old | {field: value}), named(spec=old))
    assert found == [f'spec.{field}: Invalid value: "{value}": {IMMUTABLE}']
