"""The committed extract of Kubernetes' schemas is what tools/schemas.py makes."""

import importlib.util
from pathlib import Path

from ursa.kinds.definitions import definitions, documented

ROOT = Path(__file__).parents[2]


def load_tool():
    spec = importlib.util.spec_from_file_location("schemas_tool", ROOT / "tools/schemas.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_the_extract_is_current(tmp_path, monkeypatch):
    tool = load_tool()
    target = tmp_path / "schemas.json.gz"
    monkeypatch.setattr(tool, "TARGET", target)
    tool.main()
    committed = ROOT / "src/ursa/kinds/schemas.json.gz"
    assert target.read_bytes() == committed.read_bytes(), "run tools/schemas.py"


def test_our_own_kinds_are_described_by_their_docstrings():
    spec = documented()["dev.ursa.network.v1.VpcSpec"]
    assert spec["required"] == ["cidr"]
    assert spec["properties"]["cidr"]["description"].startswith("IPv4 prefix")


def test_a_field_called_description_survives_where_descriptions_go():
    priority_class = definitions()["io.k8s.api.scheduling.v1.PriorityClass"]
    assert "description" in priority_class["properties"]
    assert "description" not in priority_class
