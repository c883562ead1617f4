"""Nobody grants what it does not have."""

import pytest

from access import World, bind, role, rule, subject, user
from ursa.base.errors import Forbidden, Invalid, NotFound
from ursa.kinds.roles import system_roles, tenant_roles

ANN = user("ann")
MINE = rule("", "pods", "get list")


@pytest.fixture
async def world():
    """ann may read pods and write roles and bindings in acme/dev."""
    world = World()
    writes = rule("rbac.authorization.k8s.io", "roles rolebindings", "create update")
    await world.put(
        *system_roles(),
        *tenant_roles("acme"),
        role("ClusterRole", "writer", MINE, writes),
        bind("RoleBinding", "writer", subject("ann")),
        role("Role", "small", MINE),
        role("Role", "large", rule("", "secrets", "get")),
    )
    return world


async def test_a_role_of_rights_that_are_held_may_be_made(world):
    await world.validate("create", role("Role", "r", rule("", "pods", "get")), user=ANN)


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (rule("", "secrets", "get"), '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'),
        (rule("", "pods", "*"), '{APIGroups:[""], Resources:["pods"], Verbs:["*"]}'),
        (rule("*", "pods", "get"), '{APIGroups:["*"], Resources:["pods"], Verbs:["get"]}'),
    ],
)
async def test_a_role_of_more_is_refused_with_what_is_missing(world, wanted, shown):
    with pytest.raises(Forbidden) as refused:
        await world.validate("create", role("Role", "r", MINE, wanted), user=ANN)
    assert refused.value.message == (
        'roles.rbac.authorization.k8s.io "r" is forbidden: user "ann"'
        ' (groups=["system:authenticated"]) is attempting to grant RBAC permissions'
        f" not currently held:\n{shown}"
    )


async def test_rights_in_one_namespace_are_none_in_another(world):
    with pytest.raises(Forbidden):
        await world.validate("create", role("Role", "r", MINE, namespace="prod"), user=ANN)
    with pytest.raises(Forbidden):
        await world.validate("create", role("ClusterRole", "r", MINE), user=ANN)


async def test_a_binding_to_a_role_that_is_held_may_be_made_and_no_other(world):
    small = bind("RoleBinding", "small", subject("bob"), role_kind="Role")
    large = bind("RoleBinding", "large", subject("ann"), role_kind="Role")
    await world.validate("create", small, user=ANN)
    for wanted in (large, bind("RoleBinding", "admin-role", subject("ann"))):
        with pytest.raises(Forbidden, match="not currently held"):
            await world.validate("create", wanted, user=ANN)
    with pytest.raises(NotFound, match="ghost"):
        await world.validate("create", bind("RoleBinding", "ghost", subject("ann")), user=ANN)


async def test_new_subjects_of_an_old_binding_are_a_grant(world):
    old = bind("RoleBinding", "large", subject("carl"), role_kind="Role")
    new = bind("RoleBinding", "large", subject("ann"), role_kind="Role")
    with pytest.raises(Forbidden):
        await world.validate("update", new, old, user=ANN)
    await world.validate("update", old, old, user=ANN)


async def test_the_verbs_escalate_and_bind_lift_the_rule(world):
    lifted = [
        rule("rbac.authorization.k8s.io", "roles", "escalate bind", resourceNames=["large", "r"]),
    ]
    await world.put(
        role("ClusterRole", "lifter", *lifted), bind("ClusterRoleBinding", "lifter", subject("ann"))
    )
    secrets = rule("", "secrets", "get")
    await world.validate("create", role("Role", "r", secrets), user=ANN)
    large = bind("RoleBinding", "large", subject("ann"), role_kind="Role")
    await world.validate("create", large, user=ANN)
    with pytest.raises(Forbidden):
        await world.validate("create", role("Role", "other", secrets), user=ANN)


async def test_the_tenant_controller_may_make_a_tenants_roles(world):
    controller = user("system:kube-controller-manager", "system")
    for doc in tenant_roles("beta"):
        await world.validate("create", doc, user=controller)


async def test_a_tenants_admin_may_grant_all_it_has(world):
    admin = user("admin")
    await world.validate("create", role("ClusterRole", "r", rule("*", "*", "*")), user=admin)


async def test_a_subject_of_another_tenant_is_invalid(world):
    wanted = bind("RoleBinding", "small", subject("eve", tenant="beta"), role_kind="Role")
    with pytest.raises(Invalid, match="must be the tenant of the binding"):
        await world.validate("create", wanted)
