"""What a guest is told, and that a real reader finds it on the disk."""

import io
import tempfile
from pathlib import Path

import yaml
from pycdlib import PyCdlib

from ursa.arktos.vmruntime.nocloud import Seed, meta_data, network_config, write_disk
from ursa.arktos.vmruntime.records import Nic

NIC = Nic(
    tap="t0",
    mac="02:00:00:00:00:05",
    mtu_bytes=1400,
    addresses=("10.0.0.5/16", "fd00::5/64"),
    gateways=("fd00::1", "10.0.0.1"),
)


def seed(**changes: object) -> Seed:
    fields = {
        "instance_id": "uid-1",
        "hostname": "box",
        "public_keys": (),
        "user_data": b"",
        "nic": NIC,
    }
    return Seed(**(fields | changes))


def test_the_port_is_one_interface_with_its_address_families_and_gateways():
    config = yaml.safe_load(network_config(seed(nameservers=["10.0.0.2"], searches=["a.b"])))
    interface, resolver = config["config"]
    assert (interface["mac_address"], interface["mtu"]) == ("02:00:00:00:00:05", 1400)
    assert interface["subnets"] == [
        {"type": "static", "address": "10.0.0.5/16", "gateway": "10.0.0.1"},
        {"type": "static6", "address": "fd00::5/64", "gateway": "fd00::1"},
    ]
    assert resolver == {"type": "nameserver", "address": ["10.0.0.2"], "search": ["a.b"]}


def test_texts_stay_texts_whatever_they_look_like():
    told = yaml.safe_load(meta_data(seed(hostname="0123", public_keys=['ssh-rsa A "x": #y'])))
    assert told["local-hostname"] == "0123"
    assert told["public-keys"] == ['ssh-rsa A "x": #y']


def test_a_machine_without_a_port_gets_no_network_config():
    assert "network-config" not in read_back(seed(nic=None))


def test_the_disk_reads_back_by_both_kinds_of_names():
    told = read_back(seed(user_data=b"#!/bin/sh\n"))
    assert set(told) == {"meta-data", "network-config", "user-data"}
    assert told["user-data"] == b"#!/bin/sh\n"


def read_back(wanted: Seed) -> dict[str, bytes]:
    """Return the files of the disk, each the same by its Joliet and its Rock Ridge name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seed.iso")
        write_disk(path, wanted)
        iso = PyCdlib()
        iso.open(str(path))
        names = [
            child.file_identifier().decode("utf-16-be")
            for child in iso.list_children(joliet_path="/")
            if not child.is_dot() and not child.is_dotdot()
        ]
        assert iso.pvd.volume_identifier.strip() == b"cidata"
        found = {}
        for name in names:
            by_joliet, by_rock_ridge = io.BytesIO(), io.BytesIO()
            iso.get_file_from_iso_fp(by_joliet, joliet_path=f"/{name}")
            iso.get_file_from_iso_fp(by_rock_ridge, rr_path=f"/{name}")
            assert by_joliet.getvalue() == by_rock_ridge.getvalue()
            found[name] = by_joliet.getvalue()
        iso.close()
    return found
