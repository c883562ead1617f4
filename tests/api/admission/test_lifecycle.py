"""Where things may be made, and what may not go."""

import pytest

from access import World, obj
from ursa.base.errors import Forbidden, NotFound

GOING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.fixture
async def world():
    world = World()
    await world.put(
        obj("Tenant", "acme"),
        obj("Namespace", "dev"),
        obj("Tenant", "old", metadata=GOING),
        obj("Namespace", "dev", tenant="old"),
        obj("Namespace", "going", metadata=GOING),
    )
    return world


async def test_a_namespace_of_a_tenant_takes_objects(world):
    await world.mutate("create", obj("ConfigMap", "c"))
    await world.mutate("create", obj("Namespace", "prod"))


@pytest.mark.parametrize(
    ("doc", "message"),
    [
        (obj("ConfigMap", "c", tenant="ghost"), 'tenants "ghost" not found'),
        (obj("Namespace", "n", tenant="ghost"), 'tenants "ghost" not found'),
        (obj("ConfigMap", "c", namespace="ghost"), 'namespaces "ghost" not found'),
    ],
)
async def test_nothing_is_made_nowhere(world, doc, message):
    with pytest.raises(NotFound) as refused:
        await world.mutate("create", doc)
    assert refused.value.message == message


async def test_nothing_is_made_in_a_place_that_is_going(world):
    for doc, place in (
        (obj("ConfigMap", "c", tenant="old"), "tenant old"),
        (obj("Namespace", "n", tenant="old"), "tenant old"),
        (obj("ConfigMap", "c", namespace="going"), "namespace going"),
    ):
        with pytest.raises(Forbidden, match=f"in {place} because it is being terminated"):
            await world.mutate("create", doc)
    await world.mutate("update", obj("ConfigMap", "c", namespace="going"), {})


async def test_a_namespace_that_is_going_is_a_cause_that_controllers_know(world):
    with pytest.raises(Forbidden) as refused:
        await world.mutate("create", obj("ConfigMap", "c", namespace="going"))
    assert refused.value.details["causes"][0]["reason"] == "NamespaceTerminating"


async def test_what_a_tenant_needs_may_not_be_deleted_before_the_tenant(world):
    for name in ("default", "kube-system", "kube-public"):
        with pytest.raises(Forbidden, match="this namespace may not be deleted"):
            await world.validate("delete", None, obj("Namespace", name))
        await world.validate("delete", None, obj("Namespace", name, tenant="old"))
    await world.validate("delete", None, obj("Namespace", "dev"))


async def test_tenant_system_may_not_be_deleted(world):
    with pytest.raises(Forbidden, match='tenants "system" is forbidden: this tenant may not'):
        await world.validate("delete", None, obj("Tenant", "system"))
    await world.validate("delete", None, obj("Tenant", "acme"))
