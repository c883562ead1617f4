"""What a tenant is furnished with, when it is ready, and in which order it goes."""

from ursa.arktos.controllers.discovery import Served
from ursa.arktos.controllers.tenant import furnish, readiness, stages
from ursa.base.errors import Forbidden
from ursa.client import Key
from ursa.kinds.part import ObjectMeta, Scope, View, view_of
from ursa.kinds.serviceaccount import ServiceAccount
from ursa.kinds.subnet import Subnet
from ursa.kinds.tenant import Tenant, TenantSpec
from ursa.kinds.vpc import Vpc


def tenant(name="acme", **spec):
    return Tenant(metadata=ObjectMeta(name=name), spec=TenantSpec(**spec))


def nothing(_cls, _key):
    return False


def only(objects, *, account=True):
    there = {(type(o), Key("acme", "", o.metadata.name)) for o in objects}

    def exists(cls, key):
        return account if cls is ServiceAccount else (cls, key) in there

    return exists


def by_kind(step):
    made = {}
    for obj in step.create:
        made.setdefault(view_of(type(obj)).kind, []).append(obj.metadata.name)
    return made


def test_a_bare_tenant_gets_namespaces_roles_and_a_network():
    made = by_kind(furnish(tenant(), nothing))
    assert made["Namespace"] == ["default", "kube-system", "kube-public"]
    assert "admin-role" in made["ClusterRole"]
    assert made["ClusterRoleBinding"] == ["admin-role-binding"]
    assert (made["Vpc"], made["Subnet"]) == (["default"], ["default"])


def test_everything_that_is_made_belongs_to_the_tenant():
    assert {o.metadata.tenant for o in furnish(tenant(), nothing).create} == {"acme"}


def test_the_roles_of_system_are_not_this_controllers():
    assert set(by_kind(furnish(tenant("system"), nothing))) == {"Namespace", "Vpc", "Subnet"}


def test_vpc_and_subnet_have_the_prefix_that_the_operator_asks_for():
    step = furnish(tenant(default_vpc_cidr="172.16.0.0/20"), nothing)
    cidrs = [o.spec.cidr for o in step.create if isinstance(o, Vpc | Subnet)]
    assert cidrs == ["172.16.0.0/20"] * 2


def test_only_what_is_missing_is_made():
    everything = furnish(tenant(), nothing).create
    for gone in everything:
        step = furnish(tenant(), only([o for o in everything if o is not gone]))
        assert step.create == (gone,)


def test_a_tenant_is_ready_only_when_everything_and_its_account_is_there():
    bare = furnish(tenant(), nothing)
    waiting = furnish(tenant(), only(bare.create, account=False))
    furnished = furnish(tenant(), only(bare.create))
    assert readiness(bare, None)[:2] == ("False", "Provisioning")
    assert readiness(waiting, None)[:2] == ("False", "Provisioning")
    assert readiness(furnished, None)[:2] == ("True", "Provisioned")
    assert readiness(bare, Forbidden("no")) == ("False", "ProvisioningFailed", "no")


def test_namespaces_go_before_subnets_and_subnets_before_the_rest():
    kinds = [
        Served(View("network.ursa.dev", "v1", "Vpc", "vpcs", Scope.TENANT), frozenset()),
        Served(view_of(Subnet), frozenset()),
        Served(View("", "v1", "Namespace", "namespaces", Scope.TENANT), frozenset()),
    ]
    names = [[served.view.kind for served in stage] for stage in stages(kinds)]
    assert names == [["Namespace"], ["Subnet"], ["Vpc"]]
