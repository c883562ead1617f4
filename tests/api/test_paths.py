"""What a path addresses, and what addresses nothing."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ursa.api.paths import Plain, Target, parse
from ursa.base.errors import NotFound


def target(path: str) -> tuple[str, str | None, str, str, str]:
    found = parse(path.encode())
    assert isinstance(found, Target)
    return (
        found.resource.plural,
        found.tenant,
        found.namespace,
        found.name,
        found.subresource,
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", ("pods", None, "", "", "")),
        ("/api/v1/namespaces/dev/pods", ("pods", None, "dev", "", "")),
        ("/api/v1/namespaces/dev/pods/web/log", ("pods", None, "dev", "web", "log")),
        ("/api/v1/namespaces/dev", ("namespaces", None, "", "dev", "")),
        ("/api/v1/namespaces/dev/status", ("namespaces", None, "", "dev", "status")),
        ("/api/v1/namespaces/dev/finalize", ("namespaces", None, "", "dev", "finalize")),
        ("/api/v1/tenants", ("tenants", None, "", "", "")),
        ("/api/v1/tenants/acme", ("tenants", None, "", "acme", "")),
        ("/api/v1/tenants/acme/finalize", ("tenants", None, "", "acme", "finalize")),
        ("/api/v1/tenants/acme/namespaces", ("namespaces", "acme", "", "", "")),
        ("/api/v1/tenants/acme/namespaces/dev", ("namespaces", "acme", "", "dev", "")),
        ("/api/v1/tenants/acme/namespaces/dev/pods/p", ("pods", "acme", "dev", "p", "")),
        ("/api/v1/tenants/all/pods", ("pods", "all", "", "", "")),
        ("/apis/apps/v1/tenants/acme/deployments", ("deployments", "acme", "", "", "")),
        (
            "/apis/apps/v1/namespaces/d/deployments/w/scale",
            ("deployments", None, "d", "w", "scale"),
        ),
        ("/tenants/acme/api/v1/namespaces/dev/pods", ("pods", "acme", "dev", "", "")),
        ("/tenants/acme/apis/apps/v1/deployments", ("deployments", "acme", "", "", "")),
        ("/tenants/acme/api/v1/tenants/acme/pods", ("pods", "acme", "", "", "")),
        ("/tenants/system/api/v1/nodes", ("nodes", "system", "", "", "")),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
            ("clusterroles", None, "", "system:node", ""),
        ),
    ],
)
def test_each_form_of_a_path_addresses_its_object(path, expected):
    assert target(path) == expected


@pytest.mark.parametrize(
    ("path", "plain", "tenant"),
    [
        ("/", "/", None),
        ("/api", "/api", None),
        ("/apis/", "/apis", None),
        ("/apis/apps/v1", "/apis/apps/v1", None),
        ("/api/v1/", "/api/v1", None),
        ("/readyz", "/readyz", None),
        ("/tenants/acme/apis", "/apis", "acme"),
        ("/tenants/acme/openapi/v3", "/openapi/v3", "acme"),
    ],
)
def test_other_paths_are_plain_and_know_their_prefix(path, plain, tenant):
    assert parse(path.encode()) == Plain(plain, tenant)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "api/v1/pods",
        "//api/v1/pods",
        "/api//v1/pods",
        "/api/v1/pods/",
        "/api/v1/Pods",
        "/api/v1/tenants/Acme/pods",
        "/api/v1/tenants/acme/../beta/pods",
        "/api/v1/tenants/acme/./pods",
        "/api/v1/tenants/acme/%2e%2e/beta/pods",
        "/api/v1/tenants/acme%2Fbeta/pods",
        "/api/v1/tenants/acme%252fbeta/pods",
        "/api/v1/tenants/acme%00/pods",
        "/api/v1/tenants//pods",
        "/api/v1/tenants/acme/nodes",
        "/api/v1/tenants/all/nodes",
        "/api/v1/tenants/acme/tenants/beta/pods",
        "/api/v1/namespaces/a%2fb/pods",
        "/api/v1/namespaces/a/pods/b%",
        "/api/v1/namespaces/a/pods/b%zz",
        "/api/v1/namespaces/a/pods/\xff",
        "/api/v1/namespaces/a/pods/p/log/more",
        "/api/v1/namespaces/a/pods/p/secrets",
        "/api/v1/namespaces/a/nodes",
        "/api/v1/namespaces/a/namespaces/b",
        "/api/v1/pods/p",
        "/tenants/acme/api/v1/tenants/beta/pods",
        "/tenants/acme/api/v1/tenants/all/pods",
        "/tenants/acme/tenants/beta/api/v1/pods",
        "/tenants/acme/api/v1/nodes",
        "/tenants/acme/api/v1/tenants",
        "/tenants/ACME/api/v1/pods",
    ],
)
def test_what_does_not_match_exactly_is_not_found(path):
    try:
        found = parse(path.encode("latin-1"))
    except NotFound:
        return
    assert isinstance(found, Plain), found
    assert found.tenant is None or not found.path.startswith(("/api/v1/", "/apis/"))


SEGMENTS = ["", ".", "..", "%2e%2e", "%2F", "api", "v1", "tenants", "acme", "beta", "all"]
SEGMENTS += ["namespaces", "dev", "pods", "p", "nodes", "status", "apis", "apps", "Tenants"]


@given(st.lists(st.sampled_from(SEGMENTS), max_size=10))
def test_no_path_reaches_a_tenant_that_it_does_not_name(segments):
    raw = "/" + "/".join(segments)
    try:
        found = parse(raw.encode())
    except NotFound:
        return
    if found.tenant is not None:
        assert ["tenants", found.tenant] in [segments[i : i + 2] for i in range(len(segments))]
        named = {b for a, b in pairwise(segments) if a == "tenants"}
        if isinstance(found, Target) and segments[0] == "tenants":
            assert segments[1] == found.tenant, "a prefix is never left"
        assert found.tenant in named
