"""What reaches a machine is refused to tenants, and named."""

import pytest

from access import World, obj, user
from ursa.base.errors import Forbidden


def container(**fields) -> dict:
    return {"containers": [{"name": "c", **fields}]}


def secured(**context) -> dict:
    return container(securityContext=context)


REFUSED = {
    "hostNetwork": {"hostNetwork": True},
    "hostPID": {"hostPID": True},
    "hostIPC": {"hostIPC": True},
    'hostPath volume "v"': {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
    'hostPort of container "c"': container(ports=[{"hostPort": 80}]),
    'privileged container "c"': secured(privileged=True),
    'capabilities NET_ADMIN SYS_ADMIN of container "c"': secured(
        capabilities={"add": ["SYS_ADMIN", "CHOWN", "NET_ADMIN"]}
    ),
    'seccompProfile Unconfined of container "c"': secured(seccompProfile={"type": "Unconfined"}),
    'procMount of container "c"': secured(procMount="Unmasked"),
    "sysctl kernel.core_pattern": {
        "securityContext": {"sysctls": [{"name": "kernel.core_pattern", "value": "|/x"}]}
    },
    'image "file:/etc/passwd" on the node\'s disk': container(image="file:/etc/passwd"),
    'image "FILE:///x.qcow2" on the node\'s disk': {"virtualMachine": {"image": "FILE:///x.qcow2"}},
    'image "/dev/sda" on the node\'s disk': {"virtualMachine": {"image": "/dev/sda"}},
    "nodeName": {"nodeName": "n1"},
}
ALLOWED = {
    "plain": container(image="busybox"),
    "empty contexts": {"securityContext": None, **secured(privileged=False)},
    "dropped capabilities": secured(capabilities={"drop": ["ALL"], "add": ["CHOWN"]}),
    "its own volumes": {"volumes": [{"name": "v", "emptyDir": {}}]},
    "a machine": {"virtualMachine": {"image": "https://example.org/vm.qcow2"}},
    "a safe sysctl": {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies"}]}},
}


@pytest.mark.parametrize("named", REFUSED)
async def test_a_tenants_pod_is_refused_and_told_why(named):
    pod = obj("Pod", "p", spec=REFUSED[named])
    with pytest.raises(Forbidden) as refused:
        await World().validate("create", pod, user=user("ann"))
    assert refused.value.message == (
        f'pods "p" is forbidden: {named}: only for pods of tenant "system", not of tenant "acme"'
    )


@pytest.mark.parametrize("named", REFUSED)
async def test_who_asks_makes_no_difference_where_it_runs_does(named):
    with pytest.raises(Forbidden):
        await World().validate("create", obj("Pod", "p", spec=REFUSED[named]))
    await World().validate("create", obj("Pod", "p", tenant="system", spec=REFUSED[named]))


@pytest.mark.parametrize("named", ALLOWED)
async def test_what_stays_inside_the_pod_is_allowed(named):
    await World().validate("create", obj("Pod", "p", spec=ALLOWED[named]), user=user("ann"))


@pytest.mark.parametrize("list_name", ["containers", "initContainers", "ephemeralContainers"])
async def test_every_list_of_containers_counts(list_name):
    spec = {list_name: [{"name": "c", "securityContext": {"privileged": True}}]}
    with pytest.raises(Forbidden, match="privileged"):
        await World().validate("update", obj("Pod", "p", spec=spec), obj("Pod", "p"))


async def test_a_bound_pod_may_be_updated():
    bound = obj("Pod", "p", spec={"nodeName": "n1"})
    await World().validate("update", bound, bound, user=user("ann"))


async def test_tenants_do_not_bind_pods():
    pod = obj("Pod", "p", spec={})
    with pytest.raises(Forbidden, match="bound to nodes by the scheduler"):
        await World().validate("create", pod, user=user("ann"), subresource="binding")
    await World().validate("create", pod, subresource="binding")
