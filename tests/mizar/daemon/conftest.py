from collections.abc import Iterator
from pathlib import Path

import pytest

from data_plane import mounted_bpffs, objects
from packets import ip
from ursa.mizar.daemon.kernel import KernelMaps, pack_node
from ursa.mizar.loader import load
from virtual_maps import VirtualMaps

OWN = ip("192.0.2.1")


@pytest.fixture
def kernel_maps(tmp_path: Path) -> Iterator[KernelMaps]:
    with mounted_bpffs(tmp_path / "bpf") as bpffs:
        for program in ("agent", "transit"):
            load(objects(), program, pack_node(OWN, 1), bpffs)
        yield KernelMaps(bpffs)


@pytest.fixture(params=["virtual", pytest.param("kernel", marks=pytest.mark.root)])
def maps(request: pytest.FixtureRequest) -> VirtualMaps | KernelMaps:
    """Both kinds of maps: what a test of this fixture says holds of either."""
    if request.param == "virtual":
        return VirtualMaps()
    found: KernelMaps = request.getfixturevalue("kernel_maps")
    return found
