import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ursa.kinds import syntax


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (
            syntax.dns_label,
            ["a", "0", "a-b", "a" * 63],
            ["", "A", "-a", "a-", "a.b", "a\n", "a" * 64],
        ),
        (syntax.dns_subdomain, ["a", "a.b-c.d", "a" * 253], ["", "a..b", ".a", "a" * 254]),
        (syntax.dns_1035_label, ["a1"], ["1a", ""]),
        (syntax.label_value, ["", "A_b.c"], ["-", "a b", "a" * 64]),
        (
            syntax.qualified_name,
            ["A", "a.b/C_d"],
            ["", "/a", "a/", "a/b/c", "A/b", "a" * 64, "b\n"],
        ),
        (syntax.config_key, ["a", ".a", "A_B-c"], ["", ".", "..", "..a", "a/b", "a" * 254]),
        (syntax.path_segment, ["system:node", "a b"], [".", "..", "a/b", "a%b"]),
        (syntax.env_name, ["A", "a.b", "1"], ["", "A=B", "ä", "a\n"]),
        (syntax.port_name, ["http", "a-1"], ["", "HTTP", "1", "-a", "a--b", "a" * 16]),
        (syntax.ip_address, ["10.0.0.1", "fd00::1"], ["", "10.0.0", "010.0.0.1", "x"]),
        (
            syntax.mac_address,
            ["02:00:00:00:00:05"],
            ["02-00-00-00-00-05", "01:00:00:00:00:00", "FF"],
        ),
    ],
)
def test_syntax(check, right, wrong):
    assert [text for text in right if check(text)] == []
    assert [text for text in wrong if not check(text)] == []


@settings(deadline=None, max_examples=50)
@given(st.text(st.sampled_from("aA0-._/ \n"), max_size=12))
def test_the_one_look_at_a_qualified_name_agrees_with_the_look_at_its_parts(text):
    prefix, slash, name = text.rpartition("/")
    is_right = (
        re.fullmatch(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", name) is not None
        and "/" not in prefix
        and (not slash or not syntax.dns_subdomain(prefix))
    )
    assert (not syntax.qualified_name(text)) == is_right


@pytest.mark.parametrize("number", [-1, 0, 65536])
def test_a_port_is_in_range(number):
    assert syntax.port_number(number) and not syntax.port_number(number % 65535 + 1)
