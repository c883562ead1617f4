import ipaddress

import pytest

from ursa.onebox.components import components
from ursa.onebox.errors import UserError
from ursa.onebox.layout import (
    NODES_MAX,
    Cluster,
    data_dir_from,
    existing_cluster,
    load_cluster,
    locked,
    save_cluster,
)


def cluster(tmp_path, nodes=2):
    return Cluster(tmp_path, "1a2b3c", 6443, ipaddress.IPv4Network("100.64.7.0/24"), nodes)


def test_a_saved_cluster_is_loaded_as_it_was(tmp_path):
    made = cluster(tmp_path)
    save_cluster(made)
    assert load_cluster(tmp_path) == made


def test_links_of_the_last_node_fit_the_kernels_15_characters(tmp_path):
    last = cluster(tmp_path, NODES_MAX).nodes[-1]
    assert len(last.host_link) <= 15 and len(last.cluster.bridge) <= 15


def test_addresses_of_host_and_nodes_differ(tmp_path):
    made = cluster(tmp_path, NODES_MAX)
    addresses = {made.host_address, *(node.address for node in made.nodes)}
    assert len(addresses) == NODES_MAX + 1


def test_components_have_names_of_their_own_and_each_nodes_in_its_namespace(tmp_path):
    parts = components(cluster(tmp_path))
    assert len({part.name for part in parts}) == len(parts) == 4 + 2 * 4
    assert all(bool(part.netns) == (part.node is not None) for part in parts)


def test_a_directory_too_deep_for_sockets_is_refused():
    with pytest.raises(UserError, match="shorter --data-dir"):
        data_dir_from("/" + "x" * 80)


def test_no_cluster_is_said_with_the_remedy(tmp_path):
    with pytest.raises(UserError, match="ursa up"):
        existing_cluster(tmp_path)


def test_two_ups_at_once_are_refused(tmp_path):
    with locked(tmp_path), pytest.raises(UserError, match="another"), locked(tmp_path):
        pass
