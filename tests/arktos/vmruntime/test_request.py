"""What callers may ask for; every fault is named at once."""

import base64

import pytest
from cri_api.v1 import api_pb2 as cri

from ursa.arktos.vmruntime.request import (
    MEMORY_DEFAULT_BYTES,
    PREFIX,
    machine_request,
    sandbox_request,
)
from ursa.base.errors import BadRequest


def container(**notes: str):
    return cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name="main"),
        image=cri.ImageSpec(image="vm"),
        annotations={PREFIX + key.replace("_", "-"): value for key, value in notes.items()},
    )


def test_a_machine_has_defaults():
    request = machine_request(container())
    assert (request.vcpus, request.memory_bytes) == (1, MEMORY_DEFAULT_BYTES)
    assert (request.user_data, request.disk_dir, request.public_keys) == (b"", "", ())


def test_memory_may_come_as_the_container_limit():
    config = container()
    config.linux.resources.memory_limit_in_bytes = 256 << 20
    assert machine_request(config).memory_bytes == 256 << 20


def test_user_data_is_decoded_and_a_script_gets_its_first_line():
    encoded = base64.b64encode(b"#cloud-config\n").decode()
    assert machine_request(container(user_data=encoded)).user_data == b"#cloud-config\n"
    assert machine_request(container(user_data_script="ls")).user_data == b"#!/bin/sh\nls"
    assert machine_request(container(user_data_script="#!/x\n")).user_data == b"#!/x\n"


@pytest.mark.parametrize(
    ("notes", "fault"),
    [
        ({"vcpus": "0"}, "vcpus: '0' is outside 1..255"),
        ({"vcpus": "1.5"}, "outside"),
        ({"memory_bytes": "1024"}, "memory-bytes"),
        ({"user_data": "%"}, "is not base64"),
        ({"user_data": "YQ==", "user_data_script": "ls"}, "not both"),
        ({"user_data_script": "x" * 70000}, "at most 65535"),
        ({"disk_dir": "a/b"}, "is relative"),
    ],
)
def test_faults_are_named(notes, fault):
    with pytest.raises(BadRequest, match=fault):
        machine_request(container(**notes))


def test_all_faults_come_at_once():
    config = container(vcpus="x", user_data="%")
    config.log_path = "../../etc/passwd"
    with pytest.raises(BadRequest) as raised:
        machine_request(config)
    assert all(w in raised.value.message for w in ("vcpus", "base64", "leaves the log directory"))


def test_a_sandbox_needs_a_name_and_a_network_of_its_own():
    config = cri.PodSandboxConfig(metadata=cri.PodSandboxMetadata(name="p", uid="u"))
    assert sandbox_request(config).uid == "u"
    config.linux.security_context.namespace_options.network = cri.NODE
    with pytest.raises(BadRequest, match="no hostNetwork"):
        sandbox_request(config)
    with pytest.raises(BadRequest, match="required"):
        sandbox_request(cri.PodSandboxConfig())
