"""The patch types, as pure functions."""

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ursa.api import patch
from ursa.base.errors import BadRequest, UnsupportedMediaType
from ursa.kinds.registry import find

POD = find("", "v1", "pods").schema


def applied(kind: str, doc, body):
    return patch.parse(json.dumps(body).encode(), kind, POD)(deepcopy(doc))


# RFC 7386, appendix A
@pytest.mark.parametrize(
    ("doc", "body", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_does_as_the_rfc_shows(doc, body, expected):
    assert applied(patch.MERGE_PATCH, doc, body) == expected


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/b", "value": 1}], {"a": [1, 2], "b": 1}),
        ([{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2]}),
        ([{"op": "add", "path": "/a/-", "value": 9}], {"a": [1, 2, 9]}),
        ([{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ([{"op": "replace", "path": "/a", "value": {}}], {"a": {}}),
        ([{"op": "replace", "path": "/a/0", "value": 5}], {"a": [5, 2]}),
        ([{"op": "move", "from": "/a", "path": "/b~1c"}], {"b/c": [1, 2]}),
        ([{"op": "copy", "from": "/a/0", "path": "/a/2"}], {"a": [1, 2, 1]}),
        ([{"op": "test", "path": "/a", "value": [1, 2]}], {"a": [1, 2]}),
    ],
)
def test_json_patch_does_as_the_rfc_says(operations, expected):
    assert applied(patch.JSON_PATCH, {"a": [1, 2]}, operations) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a/0", "value": True},
        {"op": "remove", "path": "/b"},
        {"op": "replace", "path": "/b", "value": 1},
        {"op": "add", "path": "/a/7", "value": 1},
        {"op": "add", "path": "/a/01", "value": 1},
        {"op": "add", "path": "/b/c", "value": 1},
        {"op": "move", "from": "/a", "path": "/a/0"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/b"},
        {"op": "bend", "path": "/a"},
        {"op": "remove", "path": ""},
    ],
)
def test_a_json_patch_that_does_not_fit_is_unprocessable(operation):
    with pytest.raises(patch.Unprocessable):
        applied(patch.JSON_PATCH, {"a": [1, 2]}, [operation])


def containers(*names: str, **more: str) -> list[dict[str, str]]:
    return [{"name": name, "image": name} | more for name in names]


def test_strategic_merge_merges_lists_by_their_key():
    doc = {"spec": {"containers": containers("a", "b")}}
    body = {"spec": {"containers": [{"name": "b", "image": "new"}, {"name": "c", "image": "c"}]}}
    merged = applied(patch.STRATEGIC_PATCH, doc, body)["spec"]["containers"]
    assert [(c["name"], c["image"]) for c in merged] == [("a", "a"), ("b", "new"), ("c", "c")]


def test_strategic_merge_deletes_and_replaces_by_directive():
    doc = {"spec": {"containers": containers("a", "b"), "nodeSelector": {"x": "1", "y": "2"}}}
    body = {
        "spec": {
            "containers": [{"name": "a", "$patch": "delete"}],
            "nodeSelector": {"$patch": "replace", "z": "3"},
        }
    }
    assert applied(patch.STRATEGIC_PATCH, doc, body)["spec"] == {
        "containers": containers("b"),
        "nodeSelector": {"z": "3"},
    }
    body = {"spec": {"containers": [{"$patch": "replace"}, *containers("z")]}}
    assert applied(patch.STRATEGIC_PATCH, doc, body)["spec"]["containers"] == containers("z")


def test_strategic_merge_keeps_the_order_that_the_client_wants():
    doc = {"spec": {"containers": containers("a", "b", "c")}}
    body = {
        "spec": {
            "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
            "containers": [{"name": "c", "image": "new"}],
        }
    }
    merged = applied(patch.STRATEGIC_PATCH, doc, body)["spec"]["containers"]
    names = [c["name"] for c in merged]
    assert names.index("c") < names.index("a") and sorted(names) == ["a", "b", "c"]


def test_strategic_merge_of_finalizers_is_a_set():
    doc = {"metadata": {"finalizers": ["a", "b"]}}
    added = applied(patch.STRATEGIC_PATCH, doc, {"metadata": {"finalizers": ["b", "c"]}})
    assert added["metadata"]["finalizers"] == ["a", "b", "c"]
    dropped = applied(
        patch.STRATEGIC_PATCH, doc, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}
    )
    assert dropped["metadata"]["finalizers"] == ["b"]


def test_retain_keys_drops_what_it_does_not_name():
    doc = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    body = {
        "spec": {
            "volumes": [
                {"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}
            ]
        }
    }
    merged = applied(patch.STRATEGIC_PATCH, doc, body)
    assert merged["spec"]["volumes"] == [{"name": "v", "secret": {"secretName": "s"}}]


def test_a_merged_list_refuses_items_without_their_key():
    with pytest.raises(BadRequest, match="name"):
        applied(patch.STRATEGIC_PATCH, {}, {"spec": {"containers": [{"image": "x"}]}})


@pytest.mark.parametrize("kind", ["", "application/json", patch.APPLY_PATCH, "text/plain"])
def test_another_type_of_patch_is_unsupported(kind):
    with pytest.raises(UnsupportedMediaType):
        patch.parse(b"{}", kind, POD)


@pytest.mark.parametrize("kind", [patch.MERGE_PATCH, patch.STRATEGIC_PATCH, patch.JSON_PATCH])
@pytest.mark.parametrize("body", [b"7", b"{", b'"x"', b""])
def test_what_is_no_patch_is_a_bad_request(kind, body):
    with pytest.raises(BadRequest):
        patch.parse(body, kind, POD)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text("ab", max_size=2)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), json_values, max_size=3)


def without_nulls(value):
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value


@given(objects, objects)
def test_a_merge_patch_applied_twice_changes_nothing_more(doc, body):
    once = patch.merge(deepcopy(doc), deepcopy(body))
    assert patch.merge(deepcopy(once), deepcopy(body)) == once
