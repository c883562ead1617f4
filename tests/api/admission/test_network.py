"""Subnets lie apart in their VPC, what is used stays, and the platform's part is its own."""

import pytest

from access import World, obj, user
from ursa.base.errors import Conflict, Forbidden, Invalid

API = "network.ursa.dev/v1"


def vpc(name="v", cidr="10.0.0.0/16", tenant="acme") -> dict:
    return obj("Vpc", name, api_version=API, tenant=tenant, spec={"cidr": cidr})


def subnet(name="s", cidr="10.0.1.0/24", in_vpc="v", tenant="acme") -> dict:
    return obj("Subnet", name, api_version=API, tenant=tenant, spec={"vpc": in_vpc, "cidr": cidr})


def port(**spec) -> dict:
    return obj("Port", "p", api_version=API, spec=spec)


@pytest.fixture
async def world():
    world = World()
    await world.put(vpc(), subnet(), vpc("w"), vpc(tenant="beta"))
    return world


async def test_a_subnet_beside_the_others_is_fine(world):
    await world.validate("create", subnet("t", "10.0.2.0/24"), user=user())
    await world.validate("create", subnet("t", "10.0.1.0/24", "w"), user=user())
    await world.validate("create", subnet("t", "10.0.1.0/24", tenant="beta"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (subnet("t", in_vpc="ghost"), 'spec.vpc: Not found: "ghost"'),
        (
            subnet("t", "10.1.0.0/24"),
            'spec.cidr: Invalid value: "10.1.0.0/24": lies outside vpc "v" (10.0.0.0/16)',
        ),
        (
            subnet("t", "10.0.0.0/20"),
            'spec.cidr: Invalid value: "10.0.0.0/20": overlaps subnet "s" (10.0.1.0/24) of vpc "v"',
        ),
    ],
)
async def test_a_subnet_elsewhere_is_invalid_and_told_why(world, asked, message):
    with pytest.raises(Invalid) as refused:
        await world.validate("create", asked)
    assert refused.value.message == f'Subnet.network.ursa.dev "t" is invalid: {message}'


async def test_what_is_used_may_not_be_deleted(world):
    with pytest.raises(Conflict, match='"v" is in use by subnet "s"'):
        await world.validate("delete", None, vpc())
    used = port(vpc="v", subnet="s")
    await world.put(used)
    for doc in (vpc(), subnet()):
        with pytest.raises(Conflict, match='is in use by port "dev/p"'):
            await world.validate("delete", None, doc)
    await world.remove(used)
    await world.validate("delete", None, subnet())
    await world.remove(subnet())
    await world.validate("delete", None, vpc())
    await world.validate("delete", None, vpc("w"))


async def test_a_port_that_names_no_vpc_uses_the_default_one(world):
    await world.put(vpc("default"), port())
    with pytest.raises(Conflict):
        await world.validate("delete", None, vpc("default"))


async def test_tenants_do_not_write_ports_or_the_status_of_networks(world):
    for doc, subresource in ((port(), ""), (vpc(), "status"), (subnet(), "status")):
        for operation, old in (("create", None), ("update", doc)):
            with pytest.raises(Forbidden, match="platform"):
                await world.validate(
                    operation, doc, old, user=user("admin", "acme"), subresource=subresource
                )
        await world.validate("update", doc, doc, subresource=subresource)
    with pytest.raises(Forbidden):
        await world.validate("delete", None, port(), user=user("admin", "acme"))
