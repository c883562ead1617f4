"""What rules allow and hold, and whose they are."""

import pytest

from access import World, ask, bind, role, rule, subject, user
from ursa.api.rbac import Rbac, allows, covers

ANN = user("ann", "acme", "devs")


@pytest.mark.parametrize(
    ("given", "asked", "allowed"),
    [
        (rule("", "pods", "get"), ask(ANN, "get", "pods"), True),
        (rule("", "pods", "get"), ask(ANN, "list", "pods"), False),
        (rule("", "pods", "*"), ask(ANN, "list", "pods"), True),
        (rule("apps", "pods", "get"), ask(ANN, "get", "pods"), False),
        (rule("*", "*", "*"), ask(ANN, "get", "pods/log", group="x"), True),
        (rule("", "pods", "get"), ask(ANN, "get", "pods/log"), False),
        (rule("", "pods/log", "get"), ask(ANN, "get", "pods/log"), True),
        (rule("", "pods/log", "get"), ask(ANN, "get", "pods"), False),
        (rule("", "*/log", "get"), ask(ANN, "get", "pods/log"), True),
        (rule("", "*/log", "get"), ask(ANN, "get", "pods"), False),
        (rule("", "pods", "get", resourceNames=["a"]), ask(ANN, "get", "pods", name="a"), True),
        (rule("", "pods", "get", resourceNames=["a"]), ask(ANN, "get", "pods", name="b"), False),
        (rule("", "pods", "list", resourceNames=["a"]), ask(ANN, "list", "pods"), False),
        ({"verbs": ["get"], "resources": ["pods"]}, ask(ANN, "get", "pods"), False),
        ({}, ask(ANN, "get", "pods"), False),
    ],
)
def test_a_rule_allows_what_kubernetes_rules_allow(given, asked, allowed):
    assert allows(given, asked) is allowed


@pytest.mark.parametrize(
    ("pattern", "path", "allowed"),
    [
        ("/apis/*", "/apis/apps/v1", True),
        ("/apis", "/apis/apps", False),
        ("*", "/metrics", True),
        ("/metrics", "/metrics", True),
    ],
)
def test_a_path_rule_is_exact_or_ends_in_a_star(pattern, path, allowed):
    asked = ask(ANN, "get", "")
    asked = type(asked)(user=ANN, verb="get", path=path)
    assert allows({"nonResourceURLs": [pattern], "verbs": ["get"]}, asked) is allowed


@pytest.mark.parametrize(
    ("owned", "wanted", "missing"),
    [
        (rule("", "pods services", "get list"), rule("", "pods", "get"), 0),
        (rule("", "pods", "get"), rule("", "pods", "get list"), 1),
        (rule("*", "*", "*"), rule("apps", "deployments/scale", "get"), 0),
        (rule("", "pods", "*"), rule("", "*", "get"), 1),
        (rule("", "pods", "get list"), rule("", "pods", "*"), 1),
        (rule("", "pods", "get", resourceNames=["a"]), rule("", "pods", "get"), 1),
        (rule("", "pods", "get"), rule("", "pods", "get", resourceNames=["a", "b"]), 0),
        (
            rule("", "pods", "get", resourceNames=["a"]),
            rule("", "pods", "get", resourceNames=["a", "b"]),
            1,
        ),
    ],
)
def test_what_is_not_held_is_found_part_by_part(owned, wanted, missing):
    assert len(covers([owned], wanted)) == missing


async def test_several_rules_together_hold_what_none_holds_alone():
    owned = [rule("", "pods", "get"), rule("", "services", "get")]
    assert covers(owned, rule("", "pods services", "get")) == []


@pytest.mark.parametrize(
    ("named", "bound"),
    [
        (subject("ann"), True),
        (subject("bob"), False),
        (subject("devs", "Group"), True),
        (subject("ann", "Group"), False),
        (subject("ann", tenant="acme"), True),
        (subject("ann", tenant="beta"), False),
        (subject("ann", "ServiceAccount", namespace="dev"), False),
    ],
)
async def test_a_binding_names_users_of_its_own_tenant(named, bound):
    world = World()
    await world.put(
        role("ClusterRole", "reader", rule("", "pods", "get")),
        bind("ClusterRoleBinding", "reader", named),
    )
    assert Rbac(world.cache).allows(ask(ANN, "get", "pods", namespace="dev")) is bound


async def test_a_service_account_is_bound_by_namespace_and_name():
    world = World()
    await world.put(
        role("Role", "reader", rule("", "pods", "get")),
        bind("RoleBinding", "reader", subject("sa", "ServiceAccount"), role_kind="Role"),
    )
    for namespace, bound in (("dev", True), ("prod", False)):
        who = user(f"system:serviceaccount:{namespace}:sa")
        assert Rbac(world.cache).allows(ask(who, "get", "pods", namespace="dev")) is bound


async def test_a_role_binding_counts_in_its_namespace_alone():
    world = World()
    await world.put(
        role("ClusterRole", "reader", rule("", "pods", "get")),
        bind("RoleBinding", "reader", subject("ann")),
    )
    rbac = Rbac(world.cache)
    assert rbac.allows(ask(ANN, "get", "pods", namespace="dev"))
    assert not rbac.allows(ask(ANN, "get", "pods", namespace="prod"))
    assert not rbac.allows(ask(ANN, "get", "pods"))


async def test_a_binding_without_its_role_gives_nothing():
    world = World()
    await world.put(bind("ClusterRoleBinding", "ghost", subject("ann")))
    assert not Rbac(world.cache).allows(ask(ANN, "get", "pods"))


async def test_a_right_that_is_taken_away_is_gone_at_once():
    world = World()
    reader = role("ClusterRole", "reader", rule("", "pods", "get"))
    binding = bind("ClusterRoleBinding", "reader", subject("ann"))
    rbac, asked = Rbac(world.cache), ask(ANN, "get", "pods")
    for change, allowed in (
        (world.put(reader), False),
        (world.put(binding), True),
        (world.put(role("ClusterRole", "reader", rule("", "secrets", "get"))), False),
        (world.put(reader), True),
        (world.remove(binding), False),
    ):
        await change
        assert rbac.allows(asked) is allowed
