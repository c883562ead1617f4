"""Every kind by the table of validation.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from documents import BY_KIND, deployment, faults, named, pod, service, vm_pod
from ursa.base.errors import BadRequest


@pytest.mark.parametrize(
    ("kind", "doc"),
    [
        ("Pod", pod()),
        ("Pod", vm_pod()),
        ("Pod", vm_pod(userData="I2Nsb3VkLWNvbmZpZwo=", powerSpec="Shutdown")),
        ("Deployment", deployment()),
        ("Deployment", deployment(strategy={"type": "Recreate"})),
        ("ReplicaSet", deployment()),
        ("Service", service()),
        ("Service", service(clusterIP="None", ports=None)),
        ("Service", service(type="ExternalName", externalName="example.com", ports=None)),
        ("ConfigMap", named(data={"a.b": "c"}, binaryData={"d": "MQ=="})),
        ("Secret", named(type="kubernetes.io/tls", data={"tls.crt": "", "tls.key": ""})),
        ("Namespace", named("dev")),
        ("Tenant", named("acme")),
        ("Node", named("node-1.example", spec={"taints": [{"key": "a", "effect": "NoSchedule"}]})),
        ("ServiceAccount", named()),
        (
            "Role",
            named(
                "system:reader",
                rules=[{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
            ),
        ),
        ("ClusterRole", named(rules=[{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}])),
        ("Lease", named(spec={"leaseDurationSeconds": 15})),
        ("Event", named(involvedObject={"kind": "Pod", "namespace": "dev", "name": "p"})),
        ("EndpointSlice", named(addressType="IPv4", endpoints=[{"addresses": ["10.0.0.5"]}])),
        (
            "Endpoints",
            named(subsets=[{"addresses": [{"ip": "10.0.0.5"}], "ports": [{"port": 80}]}]),
        ),
        ("PriorityClass", named(value=10)),
        ("Vpc", named(spec={"cidr": "10.0.0.0/16"})),
        ("Subnet", named(spec={"vpc": "default", "cidr": "10.0.1.0/24", "gateway": "10.0.1.1"})),
        ("Port", named(spec={"device": {"name": "p", "uid": "u"}, "ip": "10.0.0.5"})),
    ],
)
def test_what_is_right_has_no_fault(kind, doc):
    assert faults(kind, doc) == []


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(sorted(BY_KIND)),
    st.dictionaries(
        st.sampled_from(["spec", "data", "rules", "subjects", "roleRef", "type", "value"]),
        st.dictionaries(
            st.sampled_from(
                ["containers", "volumes", "selector", "template", "ports", "cidr", "nics", "taints"]
            ),
            st.sampled_from(["", "x", 0, -1, [], [{}], {}, {"a": {}}]),
        )
        | st.sampled_from(["", 0, [{}], []]),
    ),
)
def test_a_document_of_the_right_types_is_validated_and_never_crashes(kind, fields):
    try:
        found = faults(kind, named("x", **fields))
    except BadRequest:  # a wrong type never comes as far as validation
        return
    assert all(": " in text for text in found)
