"""Whom a pod runs as."""

import pytest

from access import World, obj
from ursa.base.errors import Forbidden


async def world_with(*docs) -> World:
    world = World()
    await world.put(obj("Tenant", "acme"), obj("Namespace", "dev"), *docs)
    return world


async def test_a_pod_runs_as_default_whether_or_not_it_is_there_yet():
    world = await world_with()
    pod = await world.mutate("create", obj("Pod", "p", spec={"containers": []}))
    assert pod["spec"]["serviceAccountName"] == pod["spec"]["serviceAccount"] == "default"


async def test_an_account_that_is_named_must_exist():
    world = await world_with(obj("ServiceAccount", "builder"))
    for field in ("serviceAccountName", "serviceAccount"):
        pod = await world.mutate("create", obj("Pod", "p", spec={field: "builder"}))
        assert pod["spec"]["serviceAccountName"] == "builder"
    with pytest.raises(Forbidden, match="error looking up service account dev/ghost"):
        await world.mutate("create", obj("Pod", "p", spec={"serviceAccountName": "ghost"}))


async def test_the_accounts_pull_secrets_become_the_pods_unless_it_has_its_own():
    pulls = [{"name": "registry"}]
    world = await world_with(obj("ServiceAccount", "default", imagePullSecrets=pulls))
    pod = await world.mutate("create", obj("Pod", "p", spec={}))
    assert pod["spec"]["imagePullSecrets"] == pulls
    own = [{"name": "own"}]
    pod = await world.mutate("create", obj("Pod", "p", spec={"imagePullSecrets": own}))
    assert pod["spec"]["imagePullSecrets"] == own
