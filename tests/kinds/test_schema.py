import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from documents import BY_KIND, deployment, named, pod
from ursa.base.errors import BadRequest
from ursa.kinds.definitions import definitions
from ursa.kinds.schema import conform, conform_as, patch_field

REFUSED = 'Deployment in version "v1" cannot be handled as a Deployment: '
UNMARSHAL = "json: cannot unmarshal "


@pytest.mark.parametrize(
    ("doc", "message"),
    [
        (
            deployment(replicas="3"),
            f"{UNMARSHAL}string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            deployment(replicas=1.5),
            f"{UNMARSHAL}number 1.5 into Go struct field DeploymentSpec.spec.replicas "
            "of type int32",
        ),
        (
            deployment(replicas=2**31),
            f"{UNMARSHAL}number 2147483648 into Go struct field DeploymentSpec.spec.replicas "
            "of type int32",
        ),
        (
            deployment(replicas=True),
            f"{UNMARSHAL}bool into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            deployment(template={"spec": {"containers": [{"name": 3}]}}),
            f"{UNMARSHAL}number into Go struct field "
            "Container.spec.template.spec.containers.name of type string",
        ),
        (
            deployment(template={"spec": {"containers": "x"}}),
            f"{UNMARSHAL}string into Go struct field PodSpec.spec.template.spec.containers "
            "of type []v1.Container",
        ),
        (
            {"metadata": {"labels": {"a": 1}}},
            f"{UNMARSHAL}number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            {"spec": []},
            f"{UNMARSHAL}array into Go struct field Deployment.spec of type v1.DeploymentSpec",
        ),
        (
            {"metadata": {"creationTimestamp": "yesterday"}},
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday"',
        ),
        (
            deployment(strategy={"rollingUpdate": {"maxSurge": []}}),
            f"{UNMARSHAL}array into Go struct field "
            "RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge "
            "of type intstr.IntOrString",
        ),
    ],
)
def test_a_wrong_type_is_refused_in_kubernetes_words(doc, message):
    with pytest.raises(BadRequest) as refused:
        conform(BY_KIND["Deployment"], doc)
    assert refused.value.message == REFUSED + message


def test_a_quantity_that_is_none_is_refused():
    with pytest.raises(BadRequest, match="quantities must match the regular expression"):
        conform(BY_KIND["Pod"], pod(containers=[{"resources": {"limits": {"cpu": "much"}}}]))


def test_data_that_is_not_base64_is_refused():
    with pytest.raises(BadRequest, match="illegal base64 data"):
        conform(BY_KIND["Secret"], named(data={"key": "%%%"}))


def test_unknown_fields_are_named_by_path_and_removed():
    doc = deployment(
        bogus=1,
        template={"spec": {"extra": {}, "containers": [{"name": "c", "imagePolicy": "x"}]}},
    )
    assert sorted(conform(BY_KIND["Deployment"], doc)) == [
        "spec.bogus",
        "spec.template.spec.containers[0].imagePolicy",
        "spec.template.spec.extra",
    ]
    assert conform(BY_KIND["Deployment"], doc) == []


def test_null_is_absence():
    doc = {"metadata": {"name": "x", "creationTimestamp": None, "labels": None}, "data": None}
    assert conform(BY_KIND["ConfigMap"], doc) == []
    assert doc == {"metadata": {"name": "x"}}


def test_required_scalars_have_their_zero_value_as_in_go():
    doc = pod() | {"status": {"containerStatuses": [{"name": "c"}]}}
    conform(BY_KIND["Pod"], doc)
    assert doc["status"]["containerStatuses"] == [
        {"name": "c", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    ]


def test_quantities_are_stored_in_canonical_form():
    doc = pod(containers=[{"resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}])
    conform(BY_KIND["Pod"], doc)
    limits = doc["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "500m", "memory": "1Gi"}


def test_tenants_and_machines_are_part_of_kubernetes_definitions():
    doc = {
        "metadata": {"name": "vm", "tenant": "acme"},
        "spec": {
            "vpc": "blue",
            "nics": [{"name": "eth0", "portId": "p"}],
            "virtualMachine": {"name": "vm", "image": "tiny", "powerSpec": "Running"},
        },
        "status": {"virtualMachineStatus": {"name": "vm"}, "nicStatuses": [{"name": "eth0"}]},
    }
    assert conform(BY_KIND["Pod"], doc) == []


def test_bodies_that_are_no_served_kind_have_schemas_too():
    doc = {"spec": {"replicas": "x"}}
    with pytest.raises(BadRequest, match=r"ScaleSpec\.spec\.replicas of type int32"):
        conform_as("io.k8s.api.autoscaling.v1.Scale", doc, kind="Scale", version="v1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metadata", "spec", "name", "status", "x"]), inner)
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(sorted(BY_KIND)), st.dictionaries(st.text(max_size=9), JSON), JSON)
def test_any_document_is_refused_or_conforms_for_good(kind, doc, spec):
    doc |= {"spec": spec}
    try:
        conform(BY_KIND[kind], doc)
    except BadRequest:
        return
    before = copy.deepcopy(doc)
    assert conform(BY_KIND[kind], doc) == []
    assert doc == before


@pytest.mark.parametrize(
    ("definition", "field", "merge", "merge_key"),
    [
        ("io.k8s.api.core.v1.PodSpec", "containers", True, "name"),
        ("io.k8s.api.core.v1.PodSpec", "tolerations", False, ""),
        ("io.k8s.api.core.v1.PodSpec", "nics", True, "name"),
        ("io.k8s.api.core.v1.Container", "ports", True, "containerPort"),
        ("io.k8s.api.core.v1.ServiceSpec", "ports", True, "port"),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "finalizers", True, ""),
        ("dev.ursa.network.v1.VpcStatus", "conditions", True, "type"),
    ],
)
def test_lists_are_patched_by_their_merge_key(definition, field, merge, merge_key):
    found = patch_field(definition, field)
    assert found is not None and found.is_list
    assert (found.merge, found.merge_key) == (merge, merge_key)


def test_a_patch_of_volumes_retains_keys():
    found = patch_field("io.k8s.api.core.v1.PodSpec", "volumes")
    assert found is not None and found.retain_keys
    assert found.definition == "io.k8s.api.core.v1.Volume"


def test_a_field_that_is_none_has_no_patch_rule():
    assert patch_field("io.k8s.api.core.v1.PodSpec", "bogus") is None


def test_every_served_kind_has_a_definition():
    assert {resource.schema for resource in BY_KIND.values()} <= definitions().keys()
