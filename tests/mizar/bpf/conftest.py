from collections.abc import Iterator
from pathlib import Path

import pytest

from data_plane import Bench, mounted_bpffs
from packets import ip

HERE = "192.0.2.1"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with mounted_bpffs(tmp_path / "bpf") as bpffs:
        yield Bench(bpffs, ip(HERE))
