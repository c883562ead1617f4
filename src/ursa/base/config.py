"""A process's configuration: one frozen struct, read from one JSON file and checked at once.

`ursa <process> --config FILE`. A struct's fields carry their units and defaults; unknown
fields are refused, so that a misspelt one is found before anything is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar, dataclass_transform

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class ConfigError(Exception):
    """A configuration that cannot be used; the message names file, field and remedy."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every process's configuration. Paths are absolute."""


class TlsFiles(Config):
    """PEM files of one identity and of the authority that its peers are signed by."""

    ca: str
    cert: str
    key: str


def load(struct: type[T], path: str) -> T:
    """Return the configuration in `path`. ConfigError names what is wrong in it."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=struct)
    except OSError as fault:
        raise ConfigError(f"{path}: {fault.strerror}") from fault
    except msgspec.DecodeError as fault:
        raise ConfigError(f"{path}: {fault}") from fault
