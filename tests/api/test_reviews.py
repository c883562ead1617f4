"""Questions about access, as kubectl asks them."""

import pytest

from access import NOW_S, OPERATOR, World, ask, bind, node_user, obj, role, rule, subject, user
from ursa.api.objects import served
from ursa.base.errors import BadRequest, Conflict, Forbidden, Invalid, NotFound
from ursa.kinds.roles import system_roles, tenant_roles

ANN, ADMIN = user("ann"), user("admin", "acme", "admins")
AUTHORIZATION, AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"


@pytest.fixture
async def world():
    world = World()
    await world.put(
        *system_roles(),
        *tenant_roles("acme"),
        role("ClusterRole", "reader", rule("", "pods", "get")),
        bind("RoleBinding", "reader", subject("ann")),
        obj("ServiceAccount", "builder"),
        obj("Pod", "p", spec={"serviceAccountName": "builder"}),
    )
    return world


def review(world, plural, spec, who=ANN, group=AUTHORIZATION, **where):
    resource = served(group, plural)
    asked = ask(who, "create", plural, group=group, **where)
    return world.reviews.create(resource, {"kind": resource.kind, "spec": spec}, asked)["status"]


def on(verb="get", resource="pods", **more) -> dict:
    return {"resourceAttributes": {"verb": verb, "resource": resource, **more}}


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        (on(namespace="dev"), True),
        (on(namespace="prod"), False),
        (on("delete", namespace="dev"), False),
        (on(namespace="dev", tenant="beta"), False),
        (on("list", "nodes"), False),
        ({"nonResourceAttributes": {"verb": "get", "path": "/api"}}, True),
        ({"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}, False),
    ],
)
async def test_can_i(world, spec, allowed):
    assert review(world, "selfsubjectaccessreviews", spec) == {"allowed": allowed}


async def test_a_tenants_admin_can_do_all_but_what_is_the_clusters(world):
    for resource, allowed in (("pods", True), ("nodes", False), ("tenants", False)):
        spec = on("delete", resource)
        assert review(world, "selfsubjectaccessreviews", spec, ADMIN) == {"allowed": allowed}


@pytest.mark.parametrize("spec", [{}, on() | {"nonResourceAttributes": {"path": "/api"}}])
async def test_a_question_is_about_one_thing(world, spec):
    with pytest.raises(BadRequest, match="exactly one"):
        review(world, "selfsubjectaccessreviews", spec)


async def test_an_admin_asks_about_users_of_its_own_tenant_alone(world):
    spec = {"user": "ann", **on(namespace="dev")}
    assert review(world, "subjectaccessreviews", spec, ADMIN) == {"allowed": True}
    assert review(world, "subjectaccessreviews", spec | {"user": "bob"}, ADMIN) == {
        "allowed": False
    }
    with pytest.raises(Forbidden, match="beta"):
        review(world, "subjectaccessreviews", spec | {"tenant": "beta"}, ADMIN)
    theirs = {"user": "ann", "tenant": "acme", **on(namespace="dev", tenant="acme")}
    assert review(world, "subjectaccessreviews", theirs, OPERATOR) == {"allowed": True}
    with pytest.raises(BadRequest, match="at least one"):
        review(world, "subjectaccessreviews", on(), ADMIN)


async def test_a_local_review_is_of_its_own_namespace(world):
    spec = {"user": "ann", **on(namespace="dev")}
    asked = {"who": ADMIN, "namespace": "dev"}
    assert review(world, "localsubjectaccessreviews", spec, **asked) == {"allowed": True}
    with pytest.raises(BadRequest, match="must match"):
        review(world, "localsubjectaccessreviews", spec, who=ADMIN, namespace="prod")


async def test_the_rules_of_a_namespace_are_listed(world):
    status = review(world, "selfsubjectrulesreviews", {"namespace": "dev"})
    assert rule("", "pods", "get") in status["resourceRules"]
    assert any("/api" in found["nonResourceURLs"] for found in status["nonResourceRules"])
    status = review(world, "selfsubjectrulesreviews", {"namespace": "prod"})
    assert rule("", "pods", "get") not in status["resourceRules"]


async def test_whoami_says_the_tenant(world):
    status = review(world, "selfsubjectreviews", {}, group=AUTHENTICATION)
    assert status["userInfo"] == {
        "username": "ann",
        "tenant": "acme",
        "groups": ["system:authenticated"],
    }


def token_request(world, name="builder", who=ADMIN, **spec):
    asked = ask(who, "create", "serviceaccounts/token", tenant="acme", namespace="dev", name=name)
    doc = {"kind": "TokenRequest", "apiVersion": f"{AUTHENTICATION}/v1", "spec": spec}
    return world.reviews.create(served("", "serviceaccounts"), doc, asked)


async def test_a_token_is_made_and_reviewed(world):
    answer = token_request(world, expirationSeconds=600)
    assert answer["status"]["expirationTimestamp"] == "2023-11-14T22:23:20Z"
    token = answer["status"]["token"]
    status = review(world, "tokenreviews", {"token": token}, OPERATOR, AUTHENTICATION)
    assert status["authenticated"] and status["user"]["tenant"] == "acme"
    assert status["user"]["username"] == "system:serviceaccount:dev:builder"
    world.clock.s = NOW_S + 600
    status = review(world, "tokenreviews", {"token": token}, OPERATOR, AUTHENTICATION)
    assert "authenticated" not in status and "expired" in status["error"]


async def test_another_tenants_token_is_not_reviewed(world):
    token = token_request(world)["status"]["token"]
    status = review(world, "tokenreviews", {"token": token}, user("x", "beta"), AUTHENTICATION)
    assert status == {"user": {}, "error": "the token is of another tenant"}


async def test_a_token_for_another_audience_is_for_it_alone(world):
    token = token_request(world, audiences=["vault"])["status"]["token"]
    ours = review(world, "tokenreviews", {"token": token}, OPERATOR, AUTHENTICATION)
    assert "authenticated" not in ours
    spec = {"token": token, "audiences": ["vault"]}
    theirs = review(world, "tokenreviews", spec, OPERATOR, AUTHENTICATION)
    assert theirs["authenticated"] and theirs["audiences"] == ["vault"]


async def test_a_token_bound_to_a_pod_needs_the_pod_and_its_account(world):
    bound = {"kind": "Pod", "name": "p"}
    assert token_request(world, boundObjectRef=bound)["status"]["token"]
    with pytest.raises(NotFound, match='pods "q" not found'):
        token_request(world, boundObjectRef={"kind": "Pod", "name": "q"})
    with pytest.raises(Conflict, match="UID"):
        token_request(world, boundObjectRef=bound | {"uid": "another"})
    await world.put(obj("ServiceAccount", "other"))
    with pytest.raises(Forbidden, match="does not run as"):
        token_request(world, name="other", boundObjectRef=bound)


async def test_a_node_asks_for_tokens_of_its_own_pods_alone(world):
    spec = {"serviceAccountName": "builder", "nodeName": "n1"}
    await world.put(obj("Pod", "p", spec=spec), obj("Secret", "s"))
    bound = {"kind": "Pod", "name": "p"}
    assert token_request(world, who=node_user("n1"), boundObjectRef=bound)["status"]["token"]
    for node, more in (
        ("n2", {"boundObjectRef": bound}),
        ("n1", {}),
        ("n1", {"boundObjectRef": {"kind": "Secret", "name": "s"}}),
    ):
        with pytest.raises(Forbidden, match="its own pods"):
            token_request(world, who=node_user(node), **more)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"expirationSeconds": 599}, "less than 10 minutes"),
        ({"expirationSeconds": 2**32 + 1}, "larger than"),
        ({"boundObjectRef": {"kind": "Node", "name": "n"}}, "Unsupported value"),
    ],
)
async def test_a_faulty_token_request_is_invalid(world, spec, message):
    with pytest.raises(Invalid, match=message):
        token_request(world, **spec)


async def test_a_token_of_no_account_is_not_found(world):
    with pytest.raises(NotFound, match='serviceaccounts "ghost" not found'):
        token_request(world, name="ghost")
