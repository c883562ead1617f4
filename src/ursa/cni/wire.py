"""What the plugin sends to netd and gets back, and how CNI words both.

Request: `CNI_*=value` records that each end with NUL, an empty record, then the plugin's
standard input. Answer: `0` (done) or `1` (failed), then the plugin's standard output.
Source: CNI specification 1.1.0, "Section 2: Execution Protocol" and "Section 5: Result Types".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

REQUEST_MAX = 1 << 20  # bytes; a runtime sends some hundred
VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
DEFAULT_VERSION = "0.4.0"
_CONTAINER_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,127}")
_IFNAME = re.compile(r"[^\s/:]{1,15}")


class Code(IntEnum):
    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    UNKNOWN_CONTAINER = 3
    INVALID_ENVIRONMENT = 4
    IO_FAILURE = 5
    DECODING_FAILURE = 6
    INVALID_CONFIGURATION = 7
    TRY_AGAIN = 11
    NOT_AVAILABLE = 50
    # From 100 on: the plugin's own.
    CHECK_FAILED = 100


class CniError(Exception):
    """A refusal in CNI's form. `details` says what to do, or what the kernel said."""

    def __init__(self, code: Code, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the plugin."""

    command: str  # ADD DEL CHECK VERSION GC STATUS
    container_id: str = ""
    netns: str = ""  # path; may be empty or gone at DEL
    ifname: str = ""
    args: dict[str, str] = field(default_factory=dict)  # CNI_ARGS
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        return str(self.config.get("cniVersion") or DEFAULT_VERSION)


def parse(request: bytes) -> Call:
    """Return the call. CniError names the fault."""
    head, separator, stdin = request.partition(b"\0\0")
    if request[:1] == b"\0":
        head, separator, stdin = b"", b"\0", request[1:]
    if not separator:
        raise CniError(Code.DECODING_FAILURE, "the plugin's request has no end of environment")
    records = (record.decode(errors="replace").partition("=") for record in head.split(b"\0"))
    environment = {name: value for name, _, value in records}
    call = Call(
        command=environment.get("CNI_COMMAND", ""),
        container_id=environment.get("CNI_CONTAINERID", ""),
        netns=environment.get("CNI_NETNS", ""),
        ifname=environment.get("CNI_IFNAME", ""),
        args=_args(environment.get("CNI_ARGS", "")),
        config=_config(stdin),
    )
    _validate(call)
    return call


def _args(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(";") if pair)
    return {name: value for name, _, value in pairs}


def _config(stdin: bytes) -> dict[str, Any]:
    try:
        config = json.loads(stdin or b"{}")
    except ValueError as fault:
        message = "the network configuration is no JSON"
        raise CniError(Code.DECODING_FAILURE, message, str(fault)) from fault
    if not isinstance(config, dict):
        raise CniError(Code.DECODING_FAILURE, "the network configuration is no JSON object")
    return config


def _validate(call: Call) -> None:
    if call.command not in ("VERSION", "STATUS", "GC", "ADD", "CHECK", "DEL"):
        raise CniError(Code.INVALID_ENVIRONMENT, f"CNI_COMMAND {call.command!r} is unknown")
    if call.command == "VERSION":
        return
    if call.version not in VERSIONS:
        known = ", ".join(VERSIONS)
        message = f"cniVersion {call.version} is not supported"
        raise CniError(Code.INCOMPATIBLE_VERSION, message, f"use one of {known}")
    if call.command in ("STATUS", "GC"):
        return
    if not _CONTAINER_ID.fullmatch(call.container_id):
        message = f"CNI_CONTAINERID {call.container_id!r} is no container id"
        raise CniError(Code.INVALID_ENVIRONMENT, message)
    if not _IFNAME.fullmatch(call.ifname) or call.ifname in (".", ".."):
        message = f"CNI_IFNAME {call.ifname!r} is no interface name"
        raise CniError(Code.INVALID_ENVIRONMENT, message)
    if call.command != "DEL" and not call.netns:
        raise CniError(Code.INVALID_ENVIRONMENT, "CNI_NETNS is empty")


def succeeded(result: dict[str, Any] | None) -> bytes:
    """Return the answer of a call that was carried out; None prints nothing."""
    return b"0" + (json.dumps(result).encode() if result is not None else b"")


def failed(fault: CniError, version: str = DEFAULT_VERSION) -> bytes:
    body = {"cniVersion": version, "code": int(fault.code), "msg": fault.message}
    if fault.details:
        body["details"] = fault.details
    return b"1" + json.dumps(body).encode()
