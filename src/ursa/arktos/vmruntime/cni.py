"""Run the node's CNI plugins: a machine's port is made and removed by them.

The network is the first *.conflist of the configuration folder; its plugins run in order at
ADD, each with the result of the one before, and in reverse at DEL. The machine's port is
a tap in this process's own network namespace: URSA_INTERFACE=tap asks for that.
Source: CNI specification 0.4.0, "Parameters", "Network configuration lists", "Error".
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ursa.base.errors import ServiceUnavailable

INTERFACE = "eth0"
PLUGIN_TIMEOUT_S = 30.0  # a port is waited for up to 15 s by the plugin itself


class CniError(ServiceUnavailable):
    """The network refused, or is not there yet; another try may succeed."""


class _Interface(msgspec.Struct):
    name: str
    mac: str = ""
    sandbox: str = ""


class _Ip(msgspec.Struct):
    address: str
    gateway: str = ""
    interface: int | None = None


class Result(msgspec.Struct):
    """What ADD answers, as far as a machine needs it."""

    interfaces: tuple[_Interface, ...] = ()
    ips: tuple[_Ip, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """Whose port it is."""

    container_id: str
    pod_name: str
    pod_namespace: str
    pod_uid: str

    def arguments(self) -> str:
        return ";".join(
            (
                "IgnoreUnknown=1",
                f"K8S_POD_NAMESPACE={self.pod_namespace}",
                f"K8S_POD_NAME={self.pod_name}",
                f"K8S_POD_INFRA_CONTAINER_ID={self.container_id}",
                f"K8S_POD_UID={self.pod_uid}",
                "URSA_INTERFACE=tap",
            )
        )


@dataclass(frozen=True, slots=True)
class Cni:
    bin_dir: Path
    conf_dir: Path

    def network(self) -> dict[str, Any]:
        """Return the node's network configuration. CniError while there is none."""
        found = sorted(self.conf_dir.glob("*.conflist"))
        if not found:
            raise CniError(f"no network yet: {self.conf_dir} holds no *.conflist")
        try:
            network: dict[str, Any] = msgspec.json.decode(found[0].read_bytes())
        except (OSError, msgspec.DecodeError) as fault:
            raise CniError(f"network configuration {found[0]}: {fault}") from fault
        return network

    async def add(self, attachment: Attachment) -> bytes:
        """Make the port and return the plugin's result as JSON."""
        network = self.network()
        result = b"{}"
        for plugin in network["plugins"]:
            previous = {} if result == b"{}" else {"prevResult": msgspec.Raw(result)}
            result = await self._run("ADD", network, plugin, attachment, previous)
        return result

    async def delete(self, attachment: Attachment, result: bytes) -> None:
        """Remove the port; idempotent. `result` is what ADD answered, `{}` if it never did."""
        network = self.network()
        previous = {} if result == b"{}" else {"prevResult": msgspec.Raw(result)}
        for plugin in reversed(network["plugins"]):
            await self._run("DEL", network, plugin, attachment, previous)

    async def _run(
        self,
        command: str,
        network: Mapping[str, Any],
        plugin: Mapping[str, Any],
        attachment: Attachment,
        previous: Mapping[str, Any],
    ) -> bytes:
        fixed = {"cniVersion": network.get("cniVersion", "0.4.0"), "name": network["name"]}
        configuration = msgspec.json.encode({**plugin, **fixed, **previous})
        environment = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": attachment.container_id,
            "CNI_NETNS": f"/proc/{os.getpid()}/ns/net",
            "CNI_IFNAME": INTERFACE,
            "CNI_ARGS": attachment.arguments(),
            "CNI_PATH": str(self.bin_dir),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        program = self.bin_dir / plugin["type"]
        code, output, said = await _execute(program, configuration, environment)
        if code != 0:
            raise CniError(f"CNI {command} by {plugin['type']}: {_reason(output, said, code)}")
        return output


async def _execute(
    program: Path, configuration: bytes, environment: Mapping[str, str]
) -> tuple[int, bytes, bytes]:
    try:
        child = await asyncio.create_subprocess_exec(
            program,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as fault:
        raise CniError(f"CNI plugin {program}: {fault.strerror}") from fault
    try:
        async with asyncio.timeout(PLUGIN_TIMEOUT_S):
            output, said = await child.communicate(configuration)
    except TimeoutError as fault:
        child.kill()
        await child.wait()
        raise CniError(f"CNI plugin {program}: no answer for {PLUGIN_TIMEOUT_S:.0f} s") from fault
    assert child.returncode is not None
    return child.returncode, output, said


def _reason(output: bytes, said: bytes, code: int) -> str:
    try:
        error = msgspec.json.decode(output)
        text = ": ".join(filter(None, (error.get("msg"), error.get("details"))))
    except (msgspec.DecodeError, AttributeError):
        text = (output or said).decode(errors="replace").strip()
    return text or f"exit code {code} without a word"


def parse(result: bytes) -> Result:
    """Return the result's interfaces and addresses. CniError if it names no interface."""
    try:
        parsed = msgspec.json.decode(result, type=Result)
    except msgspec.DecodeError as fault:
        raise CniError(f"the CNI plugin's result cannot be read: {fault}") from fault
    if not parsed.interfaces or not parsed.interfaces[0].mac:
        raise CniError("the CNI plugin's result names no interface with a MAC")
    return parsed
