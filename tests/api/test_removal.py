"""Deletions, by real requests."""

import pytest

NAMESPACE = "/api/v1/namespaces/default"


@pytest.mark.parametrize(
    ("plural", "body", "kind"),
    [
        ("services", {"metadata": {"name": "x"}, "spec": {"ports": [{"port": 80}]}}, "Service"),
        ("serviceaccounts", {"metadata": {"name": "x"}}, "ServiceAccount"),
        ("configmaps", {"metadata": {"name": "x"}}, "Status"),
    ],
)
async def test_a_deletion_answers_with_the_kind_that_typed_clients_expect(api, plural, body, kind):
    made = await api("POST", f"{NAMESPACE}/{plural}", body)
    assert made.status == 201
    gone = await api("DELETE", f"{NAMESPACE}/{plural}/x")
    assert (gone.status, gone.doc["kind"]) == (200, kind)
    assert (await api("GET", f"{NAMESPACE}/{plural}/x")).status == 404
