from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ursa.base import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", "0.1"),
        ("1.5", "1.5"),
        ("64Mi", "67108864"),
        ("1k", "1000"),
        ("1E", "1000000000000000000"),
        ("2e3", "2000"),
        ("2E3", "2000"),
        ("-1", "-1"),
        (".5", "0.5"),
        (2, "2"),
        ("5n", "0.000000005"),
    ],
)
def test_a_quantity_has_the_value_that_kubernetes_gives_it(text, value):
    assert quantity.parse(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "1 Gi", "abc", "1KiB", "--1", "1e", "0x10"])
def test_what_is_no_quantity_is_refused_with_its_text(text):
    with pytest.raises(ValueError, match="is no quantity"):
        quantity.parse(text)


@pytest.mark.parametrize(("text", "millicores"), [("0.5", 500), ("1", 1000), ("0.0001", 1)])
def test_millis_round_up(text, millicores):
    assert quantity.millis(text) == millicores


@given(st.integers(0, 10**15))
def test_formatted_quantities_parse_back(number):
    assert quantity.whole(quantity.format_bytes(number)) == number
    assert quantity.millis(quantity.format_millicores(number)) == number


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.1Ki", "102400m"),
        ("1e3", "1e3"),
        ("2000", "2k"),
        (1, "1"),
        (0.1, "100m"),
        ("0Mi", "0"),
        ("1e999999999", "9223372036854775807"),
    ],
)
def test_a_quantity_is_stored_as_kubernetes_stores_it(text, stored):
    assert quantity.canonical(text) == stored


@given(st.integers(1, 10**9), st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi", "e3"]))
def test_the_canonical_form_is_stable_and_means_the_same(number, unit):
    stored = quantity.canonical(f"{number}{unit}")
    assert quantity.canonical(stored) == stored
    assert quantity.parse(stored) == quantity.parse(f"{number}{unit}")
