"""Names and ids: random ones for what users create, derived ones for what controllers create.

A derived name is a function of its owner's uid and a slot, so that a create that is
repeated, by the same controller or another, is AlreadyExists and never a duplicate.
"""

from __future__ import annotations

import hashlib
import os
import uuid

NAME_MAX = 63  # DNS-1123 label
# Kubernetes' alphabet of generated names: no vowels, so no words; no 0, 1, 3
# (apimachinery, pkg/util/rand).
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def uid() -> str:
    """Return a fresh random uid (RFC 9562 version 4)."""
    return str(uuid.UUID(bytes=os.urandom(16), version=4))


def suffix(data: bytes, length: int = 5) -> str:
    """Return `length` letters that depend on `data` alone."""
    number = int.from_bytes(hashlib.sha256(data).digest()[:16])
    letters = []
    for _ in range(length):
        number, letter = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return "".join(letters)


def random_suffix(length: int = 5) -> str:
    """Return `length` random letters, for metadata.generateName."""
    return suffix(os.urandom(16), length)


def child_name(owner_name: str, owner_uid: str, slot: int | str) -> str:
    """Return the name of an owner's child in `slot`: `web-7c4d8`, at most 63 characters."""
    tail = suffix(f"{owner_uid}/{slot}".encode())
    return f"{owner_name[: NAME_MAX - len(tail) - 1].rstrip('-.')}-{tail}"
