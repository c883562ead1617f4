"""Selectors: their grammar and what they hold for."""

import pytest

from ursa.api import selectors
from ursa.base.errors import BadRequest
from ursa.kinds.registry import find

LABELS = {"app": "web", "tier": "front", "size": "7", "example.com/x": ""}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=db", False),
        ("app!=db", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("missing", False),
        ("app in (web, db)", True),
        ("app in (db)", False),
        ("app notin (db,cache)", True),
        ("missing notin (x)", True),
        ("missing in (x)", False),
        ("app=web,tier=front", True),
        ("app=web,tier=back", False),
        ("app in (web),!missing , tier", True),
        ("example.com/x=", True),
        ("example.com/x", True),
        ("size>6", True),
        ("size<7", False),
        ("app>1", False),
    ],
)
def test_a_label_selector_holds_as_kubernetes_says(text, holds):
    assert all(r.holds(LABELS) for r in selectors.labels(text)) is holds


@pytest.mark.parametrize(
    "text",
    [
        "=x",
        "a=b=c",
        "a in",
        "a in b",
        "a in (b",
        "a,,b",
        ",",
        "a b",
        "a>x",
        "a=-b",
        "a in (b))",
        "!",
    ],
)
def test_what_is_no_label_selector_is_a_bad_request(text):
    with pytest.raises(BadRequest):
        selectors.labels(text)


def test_field_selectors_are_equal_or_not_and_may_be_escaped():
    found = selectors.fields(r"metadata.name=a,spec.nodeName!=n\,1,status.phase==")
    assert [tuple(r) for r in found] == [
        ("metadata.name", "a", True),
        ("spec.nodeName", "n,1", False),
        ("status.phase", "", True),
    ]


def test_a_field_that_a_kind_is_not_selected_by_is_named():
    pods = find("", "v1", "pods")
    selectors.check_fields(pods, selectors.fields("spec.nodeName=n,metadata.tenant=t"))
    with pytest.raises(BadRequest, match=r'not supported: "spec.volumes"'):
        selectors.check_fields(pods, selectors.fields("spec.volumes=x"))
