"""Compiling and loading, and what they say when they cannot."""

import subprocess

import pytest

from data_plane import mounted_bpffs, objects
from packets import ip
from ursa.mizar.bpf import build
from ursa.mizar.daemon.kernel import pack_node
from ursa.mizar.libbpf import BpfError
from ursa.mizar.loader import PROGRAMS, BuildError, build_objects, load
from ursa.mizar.maps import Map

NODE = pack_node(ip("192.0.2.1"), 1)


def test_objects_are_built_once_per_content(tmp_path):
    first = build_objects(tmp_path)
    stamps = {path.name: path.stat().st_mtime_ns for path in first.iterdir()}
    assert build_objects(tmp_path) == first
    assert {path.name: path.stat().st_mtime_ns for path in first.iterdir()} == stamps
    assert set(stamps) == {f"{name}.bpf.o" for name in PROGRAMS}
    assert [path.name for path in tmp_path.iterdir()] == [first.name]  # no scratch is left


def test_a_missing_compiler_is_named_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="clang is not installed: run 'apt-get install"):
        build_objects(tmp_path / "out")


@pytest.mark.root
def test_programs_share_one_set_of_maps_and_leave_their_rows_to_the_next(tmp_path):
    with mounted_bpffs(tmp_path / "bpf") as bpffs:
        load(objects(), "agent", NODE, bpffs)
        row, key = b"x" * 16, (5).to_bytes(4, "little")
        Map.pinned(bpffs / "peers").put({key: row})
        load(objects(), "transit", NODE, bpffs)
        load(objects(), "agent", NODE, bpffs)
        assert Map.pinned(bpffs / "peers").get(key) == row
        assert {"agent", "transit", "endpoints", "drops"} <= {p.name for p in bpffs.iterdir()}


@pytest.mark.root
def test_a_program_that_the_verifier_refuses_is_reported_with_its_words(tmp_path):
    source = tmp_path / "bad.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'const volatile struct { char b[16]; } node SEC(".rodata.node");\n'
        'SEC("tc") int agent(struct __sk_buff *ctx)\n'
        "{ return node.b[0] + *(int *)(long)ctx->data; }\n"
        'char LICENSE[] SEC("license") = "GPL";\n'
    )
    target = tmp_path / "agent.bpf.o"
    subprocess.run([*build.CLANG, "-Wno-error", "-c", source, "-o", target], check=True)
    with mounted_bpffs(tmp_path / "bpf") as bpffs, pytest.raises(BpfError) as refused:
        load(tmp_path, "agent", NODE, bpffs)
    assert "load program agent: Permission denied: the verifier says:" in str(refused.value)
    assert "invalid access to packet" in str(refused.value)


@pytest.mark.root
def test_a_directory_that_is_no_bpffs_is_refused(tmp_path):
    with pytest.raises(BpfError, match="is no bpffs"):
        load(objects(), "agent", NODE, tmp_path)


def test_objects_that_are_not_there_are_named(tmp_path):
    with pytest.raises(BpfError, match=r"agent\.bpf\.o: No such file"):
        load(tmp_path, "agent", NODE, tmp_path)
