"""A watch cache with objects in it, and the access control that reads it."""

from ursa.api.admission import Admission
from ursa.api.authentication import Authenticator
from ursa.api.authorization import Authorizer
from ursa.api.cache import Cache, store_key
from ursa.api.documents import encode
from ursa.api.request import Attributes, User
from ursa.api.reviews import Reviews
from ursa.api.tokens import ServiceAccountTokens
from ursa.base import pki
from ursa.kinds.part import Scope
from ursa.kinds.rbac import GROUP as RBAC
from ursa.kinds.registry import RESOURCES, find, find_kind
from ursa.store.log import Write
from ursa.store.memory import MemoryStore

NOW_S = 1_700_000_000.0


class SetClock:
    """Wall time that a test moves."""

    def __init__(self) -> None:
        self.s = NOW_S

    def now_s(self) -> float:
        return self.s


class World:
    def __init__(self) -> None:
        self.clock = SetClock()
        self._store = MemoryStore()
        self.cache = Cache(self._store, RESOURCES)
        self.authorizer = Authorizer(self.cache)
        key_pem = pki.authority_key_pem(pki.new_authority("tokens"))
        self.tokens = ServiceAccountTokens(key_pem, self.cache, self.clock)
        self.authenticator = Authenticator(self.authorizer, service_accounts=self.tokens)
        self.admission = Admission(self.cache, self.authorizer, self.clock)
        self.reviews = Reviews(self.cache, self.authenticator, self.authorizer, self.tokens)

    async def put(self, *docs: dict) -> None:
        for doc in docs:
            meta = doc["metadata"]
            meta.setdefault("uid", f"uid-{meta['name']}")
            resource, key = _key(doc)
            await self._store.commit([Write(key, encode(resource, doc))], {})

    async def remove(self, doc: dict) -> None:
        await self._store.commit([Write(_key(doc)[1], None)], {})

    async def mutate(self, operation, new, old=None, *, user=None, subresource=""):
        resource, asked = self._asked(operation, new or old, user, subresource)
        await self.admission.mutate(operation, resource, new, old, asked)
        return new

    async def validate(self, operation, new, old=None, *, user=None, subresource=""):
        resource, asked = self._asked(operation, new or old, user, subresource)
        await self.admission.validate(operation, resource, new, old, asked)

    def _asked(self, operation, doc, user, subresource):
        meta = doc["metadata"]
        resource, _ = _key(doc)
        asked = Attributes(
            user=user or OPERATOR,
            verb=operation,
            group=resource.group,
            version=resource.version,
            resource=resource.plural,
            subresource=subresource,
            tenant=meta.get("tenant", ""),
            namespace=meta.get("namespace", ""),
            name=meta.get("name", ""),
        )
        return resource, asked


OPERATOR = User("admin", "system", ("system:masters", "system:authenticated"))
KNOWN = "system:authenticated"


def user(name="ann", tenant="acme", *groups: str) -> User:
    return User(name, tenant, (*groups, KNOWN))


def node_user(name="n1", tenant="system") -> User:
    return user(f"system:node:{name}", tenant, "system:nodes")


def obj(
    kind: str, name: str, *, api_version="v1", tenant="acme", namespace="dev", **fields
) -> dict:
    """A document with the place that its kind's scope asks for."""
    group, _, version = api_version.rpartition("/")
    resource = find_kind(group, version, kind)
    assert resource is not None, kind
    metadata = {"name": name}
    if resource.scope is not Scope.CLUSTER:
        metadata["tenant"] = tenant
    if resource.scope is Scope.NAMESPACE:
        metadata["namespace"] = namespace
    metadata |= fields.pop("metadata", {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def role(kind: str, name: str, *rules: dict, **where) -> dict:
    return obj(kind, name, api_version=f"{RBAC}/v1", rules=list(rules), **where)


def bind(kind: str, role_name: str, *subjects: dict, role_kind="ClusterRole", **where) -> dict:
    reference = {"apiGroup": RBAC, "kind": role_kind, "name": role_name}
    return obj(
        kind,
        f"{role_name}-binding",
        api_version=f"{RBAC}/v1",
        roleRef=reference,
        subjects=list(subjects),
        **where,
    )


def subject(name: str, kind="User", **more) -> dict:
    return {"kind": kind, "name": name, **more}


def rule(group: str, resources: str, verbs: str, **more) -> dict:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split(), **more}


def ask(who: User, verb: str, resource: str, *, group="", tenant=None, **more) -> Attributes:
    plural, _, subresource = resource.partition("/")
    return Attributes(
        user=who,
        verb=verb,
        group=group,
        version="v1",
        resource=plural,
        subresource=subresource,
        tenant=who.tenant if tenant is None else tenant,
        **more,
    )


def _key(doc: dict):
    group, _, version = doc["apiVersion"].rpartition("/")
    found = find_kind(group, version, doc["kind"])
    assert found is not None and find(group, version, found.plural) is found
    meta = doc["metadata"]
    where = meta.get("tenant", ""), meta.get("namespace", ""), meta["name"]
    return found, store_key(found, *where)
