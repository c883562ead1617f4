"""The wall between tenants, and the words of a refusal."""

import itertools

import pytest

from access import OPERATOR, World, ask, bind, node_user, obj, role, rule, subject, user
from ursa.api.request import Attributes, User
from ursa.base.errors import Forbidden
from ursa.kinds.part import Scope
from ursa.kinds.registry import RESOURCES
from ursa.kinds.roles import system_roles, tenant_roles

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
TENANTS = ("acme", "beta", "system", "all", "")
CALLERS = {
    "admin of acme": (user("admin", "acme", "admins"), {"acme"}),
    "a forged master": (user("eve", "acme", "system:masters"), set()),
    "a namesake of a component": (user("system:kube-controller-manager", "acme"), set()),
    "a namesake of a node": (node_user("n1", "acme"), set()),
    "nobody": (User("system:anonymous", "system", ("system:unauthenticated",)), set()),
    "known to nobody": (user("bob", "system"), set()),
    "operator": (OPERATOR, set(TENANTS)),
}


@pytest.fixture
async def world():
    world = World()
    await world.put(*system_roles(), *tenant_roles("acme"), *tenant_roles("beta"))
    return world


@pytest.mark.parametrize("caller", CALLERS)
async def test_the_matrix_of_verbs_resources_and_tenants_has_no_leak(world, caller):
    who, open_tenants = CALLERS[caller]
    for verb, resource, tenant in itertools.product(VERBS, RESOURCES, TENANTS):
        if resource.plural.startswith("self"):
            continue  # everybody may ask about itself, in its own tenant
        asked = ask(who, verb, resource.plural, group=resource.group, tenant=tenant, name="x")
        expected = tenant in open_tenants
        assert world.authorizer.allows(asked) is expected, (verb, resource.plural, tenant)


@pytest.mark.parametrize("caller", CALLERS)
async def test_self_reviews_are_for_the_known_in_their_own_tenant(world, caller):
    who, _ = CALLERS[caller]
    asked = ask(who, "create", "selfsubjectaccessreviews", group="authorization.k8s.io")
    assert world.authorizer.allows(asked) is (caller != "nobody")
    if who.tenant != "system":
        other = ask(who, "create", "selfsubjectreviews", tenant="beta", group=asked.group)
        assert not world.authorizer.allows(other)


@pytest.mark.parametrize("tenant", ["", "all"])
async def test_a_user_of_no_tenant_may_nothing(world, tenant):
    who = user("ann", tenant, "system:masters", "admins")
    for resource in RESOURCES:
        for where in TENANTS:
            asked = ask(who, "get", resource.plural, group=resource.group, tenant=where)
            assert not world.authorizer.allows(asked)


async def test_a_system_user_has_its_cluster_role_everywhere_and_its_roles_at_home(world):
    reader = rule("", "pods", "get")
    await world.put(
        role("ClusterRole", "reader", reader, tenant="system"),
        bind("ClusterRoleBinding", "reader", subject("bob"), tenant="system"),
        bind("RoleBinding", "reader", subject("carl"), tenant="system", namespace="dev"),
    )
    for name, where, allowed in (
        ("bob", "acme", True),
        ("bob", "all", True),
        ("carl", "system", True),
        ("carl", "acme", False),
    ):
        asked = ask(user(name, "system"), "get", "pods", tenant=where, namespace="dev")
        assert world.authorizer.allows(asked) is allowed, (name, where)


async def test_discovery_is_for_the_known_and_health_for_all(world):
    anonymous = CALLERS["nobody"][0]
    for path, for_all in (("/api", False), ("/apis/apps/v1", False), ("/readyz", True)):
        assert world.authorizer.allows(Attributes(user=user(), verb="get", path=path))
        assert world.authorizer.allows(Attributes(user=anonymous, verb="get", path=path)) is for_all
    assert not world.authorizer.allows(Attributes(user=user(), verb="get", path="/metrics"))
    theirs = Attributes(user=user(), verb="get", path="/api", tenant="beta")
    assert not world.authorizer.allows(theirs)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            ask(user(), "list", "pods", tenant="beta", namespace="dev"),
            'pods is forbidden: User "ann" cannot list resource "pods" in API group ""'
            ' in the namespace "dev" of the tenant "beta"',
        ),
        (
            ask(user(), "get", "deployments/scale", group="apps", tenant="beta", name="web"),
            'deployments.apps "web" is forbidden: User "ann" cannot get resource'
            ' "deployments/scale" in API group "apps" in the tenant "beta"',
        ),
        (
            ask(user(), "list", "nodes", tenant=""),
            'nodes is forbidden: User "ann" cannot list resource "nodes" in API group ""'
            " at the cluster scope",
        ),
        (
            ask(user(), "list", "pods", tenant="all"),
            'pods is forbidden: User "ann" cannot list resource "pods" in API group ""'
            " in all tenants",
        ),
        (
            Attributes(user=user(), verb="get", path="/metrics"),
            'forbidden: User "ann" cannot get path "/metrics"',
        ),
    ],
)
async def test_a_refusal_says_who_what_and_where(world, asked, message):
    with pytest.raises(Forbidden) as refused:
        world.authorizer.authorize(asked)
    assert refused.value.message == message


SECRET_USERS = {
    "volumes": {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]},
    "projected": {"volumes": [{"projected": {"sources": [{"secret": {"name": "s"}}]}}]},
    "env": {"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s"}}}]}]},
    "envFrom": {"initContainers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]},
    "pull": {"imagePullSecrets": [{"name": "s"}]},
}


@pytest.mark.parametrize("spec", SECRET_USERS.values(), ids=SECRET_USERS)
async def test_a_node_reads_the_secrets_of_its_own_pods_and_no_others(world, spec):
    await world.put(obj("Pod", "p", spec=spec | {"nodeName": "n1"}))

    def may(node: str, verb="get", **where) -> bool:
        asked = {"tenant": "acme", "namespace": "dev", "name": "s"} | where
        return world.authorizer.allows(ask(node_user(node), verb, "secrets", **asked))

    assert may("n1")
    assert not may("n2")
    assert not may("n1", tenant="beta")
    assert not may("n1", namespace="prod")
    assert not may("n1", name="other")
    assert not may("n1", verb="list", name="")
    assert not may("n1", tenant="all")


async def test_every_component_has_its_rights_and_no_more(world):
    scheduler = user("system:kube-scheduler", "system")
    alcor = user("system:alcor", "system")
    for who, verb, resource, group, allowed in (
        (scheduler, "create", "pods/binding", "", True),
        (scheduler, "delete", "pods", "", False),
        (scheduler, "get", "secrets", "", False),
        (alcor, "patch", "ports/status", "network.ursa.dev", True),
        (alcor, "list", "pods", "", False),
        (node_user(), "patch", "pods/status", "", True),
        (node_user(), "create", "pods", "", False),
        (node_user(), "patch", "vpcs", "network.ursa.dev", False),
    ):
        asked = ask(who, verb, resource, group=group, tenant="acme", namespace="dev", name="x")
        assert world.authorizer.allows(asked) is allowed, (who.name, verb, resource)


def test_every_scope_is_in_the_matrix():
    assert {resource.scope for resource in RESOURCES} == set(Scope)
