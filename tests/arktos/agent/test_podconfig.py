"""What runtimes are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_objects import pod
from ursa.arktos.agent import podconfig
from ursa.arktos.agent.actions import not_carried_out
from ursa.arktos.agent.references import ConfigFault
from ursa.arktos.agent.resources import Limits


def container_config(image_user="", **spec):
    made = pod(**spec)
    given = podconfig.Given(
        attempt=2,
        crashes=1,
        env={"A": "1"},
        mounts=[],
        limits=Limits(2, 0, 0),
        image_user=image_user,
        machine_bytes=1 << 30,
    )
    return podconfig.container_config(made, made.spec.containers[0], given)


def test_a_sandbox_carries_the_pods_identity_and_its_own_namespaces():
    config = podconfig.sandbox_config(pod(), 3, Path("/logs"), "/pods/u-1")
    assert config.labels["io.kubernetes.pod.tenant"] == "acme"
    assert (config.metadata.attempt, config.linux.cgroup_parent) == (3, "/pods/u-1")
    options = config.linux.security_context.namespace_options
    assert (options.network, options.pid) == (0, 1)  # POD, CONTAINER


def test_host_network_leaves_the_hostname_to_the_node():
    config = podconfig.sandbox_config(pod(hostNetwork=True), 0, Path("/logs"), "/x")
    assert config.hostname == ""
    assert config.linux.security_context.namespace_options.network == 2  # NODE


def test_a_command_is_expanded_and_the_log_lies_by_name_and_attempt():
    made = {"name": "main", "image": "b", "command": ["echo", "$(A)"], "args": ["$(B)"]}
    config = container_config(containers=[made])
    assert (list(config.command), list(config.args)) == (["echo", "1"], ["$(B)"])
    assert config.log_path == "main/2.log"


def test_a_container_has_the_runtimes_seccomp_unless_it_is_privileged():
    assert container_config().linux.security_context.seccomp.profile_type == 0
    made = {"name": "main", "image": "b", "securityContext": {"privileged": True}}
    context = container_config(containers=[made]).linux.security_context
    assert (context.privileged, context.seccomp.profile_type) == (True, 1)
    assert list(context.masked_paths) == []


@pytest.mark.parametrize(
    ("user", "image_user", "refused"),
    [(None, "", True), (None, "app", True), (None, "1000", False), (7, "", False), (0, "7", True)],
)
def test_what_must_not_run_as_root_is_refused_if_it_would(user, image_user, refused):
    context = {"runAsNonRoot": True} | ({} if user is None else {"runAsUser": user})
    if refused:
        with pytest.raises(ConfigFault, match="runAsNonRoot"):
            container_config(image_user, securityContext=context)
    else:
        container_config(image_user, securityContext=context)


def test_a_machine_is_described_by_annotations():
    vm = {
        "name": "guest",
        "image": "vm",
        "userData": "I2Nsb3Vk",
        "publicKey": "ssh-ed25519 A",
        "resources": {"limits": {"cpu": "1500m", "memory": "128Mi"}},
    }
    config = podconfig.machine_config(
        pod(virtualMachine=vm), attempt=0, crashes=0, disk_dir=Path("/d")
    )
    said = {k.removeprefix("vm.ursa.dev/"): v for k, v in config.annotations.items()}
    assert (said["vcpus"], said["memory-bytes"]) == ("2", str(128 << 20))
    assert (said["user-data"], said["disk-dir"], said["hostname"]) == ("I2Nsb3Vk", "/d", "web")
    assert config.linux.resources.memory_limit_in_bytes == 128 << 20


def test_the_hosts_file_names_the_pod_and_its_aliases():
    made = pod(hostAliases=[{"ip": "10.1.1.1", "hostnames": ["db", "cache"]}])
    lines = podconfig.hosts_file(made, "10.0.0.5").decode().splitlines()
    assert lines[-2:] == ["10.0.0.5\tweb", "10.1.1.1\tdb\tcache"]


def test_what_is_asked_for_and_not_done_is_said():
    ports = [{"containerPort": 80, "hostPort": 8080}]
    asks = pod(
        containers=[{"name": "main", "image": "b", "ports": ports}],
        imagePullSecrets=[{"name": "keys"}],
    )
    reasons = [reason for reason, _ in not_carried_out(asks)]
    assert reasons == ["HostPortNotSupported", "FailedToRetrieveImagePullSecret"]
    assert list(not_carried_out(pod())) == []
