"""Each way in, with a right, a wrong, an expired and another tenant's credential."""

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from access import NOW_S, World, ask, bind, obj, role, rule, subject
from ursa.api.authentication import ANONYMOUS, Authenticator
from ursa.api.objects import served
from ursa.api.request import User
from ursa.api.tokens import load_static_tokens
from ursa.base import pki
from ursa.base.config import ConfigError
from ursa.base.errors import BadRequest, Forbidden, Unauthorized
from ursa.kinds.roles import system_roles, tenant_roles

KNOWN = "system:authenticated"
AUTHORITY = pki.new_authority("test")


@pytest.fixture
async def world():
    world = World()
    await world.put(*system_roles(), *tenant_roles("acme"))
    return world


def certificate(user: str, groups=(), tenant=None) -> bytes:
    pem, _ = pki.issue(AUTHORITY, pki.Identity(user, groups, tenant))
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def with_subject(*attributes) -> bytes:
    names = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    key = ec.generate_private_key(ec.SECP256R1())
    cert = (
        x509.CertificateBuilder()
        .subject_name(names)
        .issuer_name(AUTHORITY.cert.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AUTHORITY.cert.not_valid_before_utc)
        .not_valid_after(AUTHORITY.cert.not_valid_after_utc)
        .sign(AUTHORITY.key, pki.hashes.SHA256())
    )
    return cert.public_bytes(Encoding.DER)


CN, O, OU = (  # noqa: E741  the field's own name
    x509.NameOID.COMMON_NAME,
    x509.NameOID.ORGANIZATION_NAME,
    x509.NameOID.ORGANIZATIONAL_UNIT_NAME,
)


async def test_a_certificate_with_a_tenant_has_its_groups_in_units(world):
    who = world.authenticator.authenticate(certificate("ann", ["devs"], "acme"), None, {})
    assert who == User("ann", "acme", ("devs", KNOWN))


async def test_a_certificate_without_a_tenant_is_systems_with_groups_in_organizations(world):
    der = certificate("system:node:n1", ["system:nodes"])
    who = world.authenticator.authenticate(der, None, {})
    assert who == User("system:node:n1", "system", ("system:nodes", KNOWN))


@pytest.mark.parametrize(
    ("subject_of", "message"),
    [
        ([(O, "tenant:acme")], "no common name"),
        ([(CN, "a"), (O, "tenant:acme"), (O, "devs")], "multiple organizations"),
        ([(CN, "a"), (O, "tenant:acme"), (O, "tenant:beta")], "multiple organizations"),
        ([(CN, "a"), (O, "tenant:acme:beta")], "multiple tenants"),
        ([(CN, "a"), (O, "tenant:all")], "no tenant's name"),
        ([(CN, "a"), (O, "tenant:")], "no tenant's name"),
        ([(CN, "a"), (O, "tenant:ACME")], "no tenant's name"),
        ([(CN, "a"), (O, "tenant:a/b")], "no tenant's name"),
    ],
)
async def test_an_unclear_certificate_is_refused(world, subject_of, message):
    with pytest.raises(Unauthorized, match=message):
        world.authenticator.authenticate(with_subject(*subject_of), None, {})


async def test_nobody_cannot_claim_to_be_known_nor_the_known_to_be_nobody(world):
    assert world.authenticator.authenticate(None, None, {}) == ANONYMOUS
    der = certificate("ann", ["system:unauthenticated"], "acme")
    assert world.authenticator.authenticate(der, None, {}).groups == (KNOWN,)


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "Bearer nonsense"])
async def test_a_bad_authorization_header_is_refused_not_anonymous(world, header):
    with pytest.raises(Unauthorized):
        world.authenticator.authenticate(None, header, {})


async def test_static_tokens_carry_user_groups_and_tenant(world, tmp_path):
    file = tmp_path / "tokens.csv"
    file.write_text('t1,ann,u1,"devs,ops",,acme\nt2,bob,u2\n\nt3,eve,u3,"x",,all\n')
    entry = Authenticator(world.authorizer, static=load_static_tokens(file))
    assert entry.authenticate(None, "Bearer t1", {}) == User(
        "ann", "acme", ("devs", "ops", KNOWN), "u1"
    )
    assert entry.authenticate(None, "bearer t2", {}).tenant == "system"
    for wrong in ("Bearer t3", "Bearer t1x", "Bearer T1"):
        with pytest.raises(Unauthorized):
            entry.authenticate(None, wrong, {})


def test_a_faulty_line_of_the_token_file_is_named(tmp_path):
    file = tmp_path / "tokens.csv"
    file.write_text("t1,ann,u1\nt2,bob\n")
    with pytest.raises(ConfigError, match=r"tokens\.csv:2"):
        load_static_tokens(file)


ACCOUNT = obj("ServiceAccount", "builder")
POD = obj("Pod", "p", spec={"serviceAccountName": "builder"})


async def token_of(world, account=ACCOUNT, **options) -> str:
    await world.put(account)
    stored = world.cache.get(
        served("", "serviceaccounts"),
        *(account["metadata"][k] for k in ("tenant", "namespace", "name")),
    )
    token, _ = world.tokens.issue(stored, audiences=(), duration_s=600, **options)
    return token


def entered(world, token: str) -> User:
    return world.authenticator.authenticate(None, f"Bearer {token}", {})


async def test_a_service_accounts_token_carries_its_tenant(world):
    who = entered(world, await token_of(world))
    assert (who.name, who.tenant) == ("system:serviceaccount:dev:builder", "acme")
    assert who.groups == ("system:serviceaccounts", "system:serviceaccounts:dev", KNOWN)
    theirs = await token_of(world, obj("ServiceAccount", "builder", tenant="beta"))
    assert entered(world, theirs).tenant == "beta"


async def test_a_token_ends_with_its_time(world):
    token = await token_of(world)
    world.clock.s = NOW_S + 599
    entered(world, token)
    world.clock.s = NOW_S + 600
    with pytest.raises(Unauthorized, match="expired"):
        entered(world, token)


async def test_a_token_ends_with_its_account_and_its_successor_does_not_revive_it(world):
    token = await token_of(world)
    entered(world, token)
    await world.remove(ACCOUNT)
    with pytest.raises(Unauthorized, match="gone"):
        entered(world, token)
    await world.put(obj("ServiceAccount", "builder", metadata={"uid": "another"}))
    with pytest.raises(Unauthorized, match="gone"):
        entered(world, token)


async def test_a_bound_token_ends_with_its_pod(world):
    await world.put(POD)
    stored = world.cache.get(served("", "pods"), "acme", "dev", "p")
    token = await token_of(world, bound_to=("pod", stored))
    assert entered(world, token).extra["authentication.kubernetes.io/pod-name"] == ("p",)
    await world.remove(POD)
    with pytest.raises(Unauthorized, match="pod p"):
        entered(world, token)


async def test_a_token_of_another_key_audience_or_algorithm_is_refused(world):
    token = await token_of(world)
    claims = jwt.decode(token, options={"verify_signature": False})
    other = ec.generate_private_key(ec.SECP256R1())
    forged = [
        jwt.encode(claims, other, algorithm="ES256"),
        jwt.encode(claims, "secret" * 8, algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
        token[:-4] + "AAAA",
    ]
    for wrong in forged:
        with pytest.raises(Unauthorized):
            entered(world, wrong)
    with pytest.raises(Unauthorized, match="audience"):
        world.tokens.user(token, ("somebody else",))


AS_BOB = {"impersonate-user": "bob"}


async def test_an_operator_may_be_anybody_anywhere(world):
    headers = AS_BOB | {
        "impersonate-group": "devs,ops",
        "impersonate-tenant": "acme",
        "impersonate-extra-scopes": "a, b",
        "impersonate-uid": "u7",
    }
    admin = certificate("admin", ["system:masters"])
    who = world.authenticator.authenticate(admin, None, headers)
    assert who == User("bob", "acme", ("devs", "ops", KNOWN), "u7", {"scopes": ("a", "b")})


async def test_a_tenants_admin_may_be_anybody_of_its_tenant_alone(world):
    admin = certificate("admin", ["admins"], "acme")
    who = world.authenticator.authenticate(admin, None, AS_BOB)
    assert who == User("bob", "acme", (KNOWN,))
    for tenant in ("beta", "system", "all", ""):
        with pytest.raises((Forbidden, Unauthorized)):
            world.authenticator.authenticate(admin, None, AS_BOB | {"impersonate-tenant": tenant})


async def test_a_tenants_admin_gains_nothing_as_a_system_group(world):
    admin = certificate("admin", ["admins"], "acme")
    headers = AS_BOB | {"impersonate-group": "system:masters"}
    who = world.authenticator.authenticate(admin, None, headers)
    assert not world.authorizer.allows(ask(who, "get", "pods"))
    assert not world.authorizer.allows(ask(who, "list", "nodes", tenant=""))


async def test_every_claim_of_a_disguise_must_be_allowed(world):
    await world.put(
        role("ClusterRole", "actor", rule("", "users", "impersonate", resourceNames=["bob"])),
        bind("ClusterRoleBinding", "actor", subject("ann")),
    )
    ann = certificate("ann", [], "acme")
    assert world.authenticator.authenticate(ann, None, AS_BOB).name == "bob"
    for more in (
        {"impersonate-user": "carl"},
        {"impersonate-group": "devs"},
        {"impersonate-uid": "1"},
        {"impersonate-extra-scopes": "a"},
        {"impersonate-user": "system:serviceaccount:dev:builder"},
    ):
        with pytest.raises(Forbidden, match="impersonate"):
            world.authenticator.authenticate(ann, None, AS_BOB | more)


async def test_an_impersonated_service_account_has_its_groups(world):
    admin = certificate("admin", ["admins"], "acme")
    headers = {"impersonate-user": "system:serviceaccount:dev:builder"}
    who = world.authenticator.authenticate(admin, None, headers)
    assert "system:serviceaccounts:dev" in who.groups


async def test_a_disguise_needs_a_user(world):
    admin = certificate("admin", ["system:masters"])
    with pytest.raises(BadRequest):
        world.authenticator.authenticate(admin, None, {"impersonate-group": "devs"})
