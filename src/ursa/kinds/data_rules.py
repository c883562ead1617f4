"""Rules for ConfigMaps and Secrets.

Source: Kubernetes, pkg/apis/core/validation/validation.go (ValidateConfigMap, ValidateSecret).
"""

from __future__ import annotations

from ursa.kinds import syntax
from ursa.kinds.configmap import DATA_BYTES_MAX
from ursa.kinds.faults import (
    Document,
    Faults,
    each_invalid,
    forbidden,
    invalid,
    required,
    too_long,
    unchanged,
)

_SEALED = "field is immutable when `immutable` is set"
# Secret type → keys that it must have; one of the alternatives suffices.
_NEEDED_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "kubernetes.io/dockercfg": ((".dockercfg",),),
    "kubernetes.io/dockerconfigjson": ((".dockerconfigjson",),),
    "kubernetes.io/basic-auth": (("username", "password"),),
    "kubernetes.io/ssh-auth": (("ssh-privatekey",),),
    "kubernetes.io/tls": (("tls.crt",), ("tls.key",)),
}
_TOKEN_TYPE = "kubernetes.io/service-account-token"
_ACCOUNT_NAME = "kubernetes.io/service-account.name"


def config_map_faults(doc: Document, old: Document | None) -> Faults:
    data, binary = doc.get("data", {}), doc.get("binaryData", {})
    size_bytes = 0
    for field, values in (("data", data), ("binaryData", binary)):
        for key, value in values.items():
            if details := syntax.config_key(key):
                yield from each_invalid(f"{field}[{key}]", key, details)
            size_bytes += len(value.encode()) if field == "data" else decoded_bytes(value)
    for key in data.keys() & binary.keys():
        yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    if size_bytes > DATA_BYTES_MAX:
        yield too_long("data", DATA_BYTES_MAX)
    yield from _sealed_faults(doc, old, ("data", "binaryData"))


def secret_faults(doc: Document, old: Document | None) -> Faults:
    data, kind = doc.get("data", {}), doc.get("type", "")
    for key in data:
        if details := syntax.config_key(key):
            yield from each_invalid(f"data[{key}]", key, details)
    if sum(decoded_bytes(value) for value in data.values()) > DATA_BYTES_MAX:
        yield too_long("data", DATA_BYTES_MAX)
    for alternatives in _NEEDED_KEYS.get(kind, ()):
        if not any(key in data for key in alternatives):
            for key in alternatives:
                yield required(f"data[{key}]")
    annotations = doc["metadata"].get("annotations", {})
    if kind == _TOKEN_TYPE and not annotations.get(_ACCOUNT_NAME):
        yield required(f"metadata.annotations[{_ACCOUNT_NAME}]")
    if old is not None:
        yield from unchanged("type", kind, old.get("type", ""))
    yield from _sealed_faults(doc, old, ("data",))


def _sealed_faults(doc: Document, old: Document | None, fields: tuple[str, ...]) -> Faults:
    if old is None or not old.get("immutable"):
        return
    if not doc.get("immutable"):
        yield forbidden("immutable", _SEALED)
    for field in fields:
        if doc.get(field, {}) != old.get(field, {}):
            yield forbidden(field, _SEALED)


def decoded_bytes(text: str) -> int:
    """Return how many bytes a base64 text stands for, without decoding it."""
    return len(text) * 3 // 4 - text[-2:].count("=")
