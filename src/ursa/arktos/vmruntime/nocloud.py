"""The NoCloud disk: how a guest learns its name, keys, network and user-data.

An ISO 9660 image with the label `cidata`, Rock Ridge and Joliet names, holding meta-data,
network-config (version 1) and user-data. cloud-init reads it, and so does our own guest.
Source: cloud-init, "NoCloud" and "Networking config Version 1".
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pycdlib import PyCdlib

from ursa.arktos.vmruntime.records import Nic

LABEL = "cidata"
USER_DATA_BYTES_MAX = 65535  # as the pod's field
ROCK_RIDGE = "1.09"  # the version that Linux and genisoimage agree on
JOLIET_LEVEL = 3
PAD_BYTES = 150 * 2048  # as genisoimage: readers that look for other file systems read further


@dataclass(frozen=True, slots=True)
class Seed:
    """What one machine is told."""

    instance_id: str  # a new one makes cloud-init configure from the start
    hostname: str
    public_keys: Sequence[str]
    user_data: bytes  # empty for none
    nic: Nic | None
    nameservers: Sequence[str] = ()
    searches: Sequence[str] = ()


def write_disk(path: Path, seed: Seed) -> None:
    """Write the NoCloud disk of `seed`, whole or not at all."""
    iso = PyCdlib()
    iso.new(vol_ident=LABEL, interchange_level=3, joliet=JOLIET_LEVEL, rock_ridge=ROCK_RIDGE)
    for number, (name, data) in enumerate(files(seed).items()):
        iso.add_fp(
            io.BytesIO(data),
            len(data),
            f"/FILE{number}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    part = path.with_name(f"{path.name}.part")
    iso.write(str(part))
    iso.close()
    os.truncate(part, part.stat().st_size + PAD_BYTES)
    part.replace(path)


def files(seed: Seed) -> Mapping[str, bytes]:
    """Return what the disk holds, by file name."""
    held = {"meta-data": meta_data(seed).encode(), "user-data": seed.user_data}
    if seed.nic is not None:
        held["network-config"] = network_config(seed).encode()
    return held


def meta_data(seed: Seed) -> str:
    lines = [f"instance-id: {_text(seed.instance_id)}", f"local-hostname: {_text(seed.hostname)}"]
    if seed.public_keys:
        lines.append("public-keys:")
        lines += [f"  - {_text(key)}" for key in seed.public_keys]
    return "\n".join(lines) + "\n"


def network_config(seed: Seed) -> str:
    """Return the port as one static interface, known by its MAC."""
    nic = seed.nic
    assert nic is not None
    lines = ["version: 1", "config:"]
    lines += ["  - type: physical", "    name: eth0", f"    mac_address: {_text(nic.mac)}"]
    lines += [f"    mtu: {nic.mtu_bytes}", "    subnets:"]
    gateways = {":" in gateway: gateway for gateway in nic.gateways}
    for address in nic.addresses:
        is_v6 = ":" in address
        lines.append(f"      - type: {'static6' if is_v6 else 'static'}")
        lines.append(f"        address: {_text(address)}")
        if is_v6 in gateways:  # once for each family
            lines.append(f"        gateway: {_text(gateways.pop(is_v6))}")
    if seed.nameservers:
        lines += ["  - type: nameserver", "    address:"]
        lines += [f"      - {_text(address)}" for address in seed.nameservers]
        if seed.searches:
            lines.append("    search:")
            lines += [f"      - {_text(domain)}" for domain in seed.searches]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """Return a YAML scalar that is a string whatever it looks like: JSON's form is one."""
    return json.dumps(value)
