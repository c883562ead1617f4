"""Service addresses: one each, inside the tenant's prefix."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from access import World, obj
from ursa.base.errors import Invalid

TINY = "10.1.0.0/28"


@pytest.fixture
async def world():
    world = World()
    for tenant in ("acme", "beta"):
        await world.put(obj("Tenant", tenant), obj("Namespace", "dev", tenant=tenant))
    await world.put(
        obj("Tenant", "tiny", spec={"serviceCidr": TINY}), obj("Namespace", "dev", tenant="tiny")
    )
    return world


def service(name="web", tenant="acme", **spec) -> dict:
    return obj("Service", name, tenant=tenant, spec={"type": "ClusterIP"} | spec)


async def address(world, doc, old=None) -> str:
    made = await world.mutate("update" if old else "create", doc, old)
    return made["spec"].get("clusterIP", "")


async def test_a_service_gets_an_address_of_the_default_prefix(world):
    made = await world.mutate("create", service())
    spec = made["spec"]
    assert IPv4Address(spec["clusterIP"]) in IPv4Network("10.96.0.0/16")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")


async def test_requests_at_one_time_never_get_the_same_address(world):
    given = [await address(world, service(f"s{i}", "tiny")) for i in range(12)]
    assert len(set(given)) == 12
    assert set(given).isdisjoint({"10.1.0.0", "10.1.0.1", "10.1.0.10", "10.1.0.15"})
    with pytest.raises(Invalid, match="range is full"):
        await address(world, service("s12", "tiny"))


async def test_an_address_of_a_request_that_failed_is_free_again(world):
    for i in range(12):
        await address(world, service(f"s{i}", "tiny"))
    world.clock.s += 31
    assert await address(world, service("s12", "tiny"))


async def test_an_address_is_free_again_once_its_service_is_gone(world):
    stored = await world.mutate("create", service(clusterIP="10.96.0.9"))
    await world.put(stored)
    world.clock.s += 31
    with pytest.raises(Invalid, match="provided IP is already allocated"):
        await address(world, service("other", clusterIP="10.96.0.9"))
    assert await address(world, service("other", "beta", clusterIP="10.96.0.9")) == "10.96.0.9"
    await world.remove(stored)
    assert await address(world, service("other", clusterIP="10.96.0.9")) == "10.96.0.9"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("10.97.0.1", "not in the valid range. The range of valid IPs is 10.96.0.0/16"),
        ("nonsense", "must be an IPv4 address"),
        ("fd00::1", "must be an IPv4 address"),
    ],
)
async def test_an_impossible_address_is_invalid(world, asked, message):
    with pytest.raises(Invalid, match=message):
        await address(world, service(clusterIP=asked))


async def test_headless_and_external_services_have_none(world):
    headless = await world.mutate("create", service(clusterIP="None"))
    assert headless["spec"]["clusterIPs"] == ["None"]
    external = await world.mutate("create", service(type="ExternalName", externalName="x.org"))
    assert "clusterIP" not in external["spec"]


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
async def test_what_is_not_there_yet_says_so(world, kind):
    with pytest.raises(Invalid, match="not available yet: use ClusterIP"):
        await address(world, service(type=kind))


async def test_an_update_keeps_the_address_and_may_not_change_it(world):
    old = await world.mutate("create", service())
    held = old["spec"]["clusterIP"]
    assert await address(world, service(), old) == held
    assert await address(world, service(clusterIP=held), old) == held
    for change in ({"clusterIP": "10.96.9.9"}, {"clusterIPs": ["10.96.9.9"]}):
        with pytest.raises(Invalid, match="may not change once set"):
            await address(world, service(**change), old)


async def test_a_change_of_type_gives_up_the_address_and_gets_one(world):
    old = await world.mutate("create", service())
    external = service(type="ExternalName", clusterIP=old["spec"]["clusterIP"])
    assert await address(world, external, old) == ""
    assert await address(world, service(), external)
