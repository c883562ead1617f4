import pytest

from ursa.kinds import selector

EXPRESSIONS = [
    {"key": "tier", "operator": "In", "values": ["b", "a"]},
    {"key": "old", "operator": "DoesNotExist"},
]
SELECTOR = {"matchLabels": {"app": "web"}, "matchExpressions": EXPRESSIONS}


@pytest.mark.parametrize(
    ("labels", "is_match"),
    [
        ({"app": "web", "tier": "a"}, True),
        ({"app": "web", "tier": "c"}, False),
        ({"app": "web"}, False),
        ({"app": "web", "tier": "a", "old": ""}, False),
    ],
)
def test_a_selector_matches_labels_that_satisfy_all_of_it(labels, is_match):
    assert selector.matches(SELECTOR, labels) is is_match


@pytest.mark.parametrize(
    ("given", "text"), [({}, "<none>"), (SELECTOR, "app=web,tier in (a,b),!old")]
)
def test_a_selector_is_written_as_kubectl_writes_it(given, text):
    assert selector.text(given) == text
