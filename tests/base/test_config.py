import pytest

from ursa.base.config import Config, ConfigError, load


class Example(Config):
    port: int
    name: str = "x"


def write(tmp_path, text):
    file = tmp_path / "c.json"
    file.write_text(text)
    return str(file)


def test_a_good_file_is_loaded_with_its_defaults(tmp_path):
    assert load(Example, write(tmp_path, '{"port": 1}')) == Example(port=1, name="x")


@pytest.mark.parametrize("text", ["{", '{"port": "1"}', '{"port": 1, "prot": 2}', "{}"])
def test_a_bad_file_is_refused_by_name(tmp_path, text):
    with pytest.raises(ConfigError, match=r"c\.json"):
        load(Example, write(tmp_path, text))


def test_a_missing_file_is_named():
    with pytest.raises(ConfigError, match="/nowhere"):
        load(Example, "/nowhere/c.json")
