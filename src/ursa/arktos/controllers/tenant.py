"""Tenant: furnish each active one, remove everything of each terminating one.

Furniture is what makes a tenant a cluster of its own: namespaces, the roles of its admins,
and VPC and Subnet `default`. It is Ready once all of it, and the account of its pods, is
there. Removal goes namespaces first, each by the namespace controller, then what belongs to
the tenant itself, then the finalizer. A status condition says what is left.
Source: Arktos, pkg/controller/tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from ursa.arktos.controllers import contents
from ursa.arktos.controllers.caches import Caches
from ursa.arktos.controllers.conditions import with_condition
from ursa.arktos.controllers.discovery import Served
from ursa.arktos.controllers.runtime import Controller, Result, each, own_key, refusal
from ursa.base.clock import Clock
from ursa.base.errors import ApiError
from ursa.client import Client, Key, Lister
from ursa.client.key import meta_of
from ursa.kinds.namespace import Namespace
from ursa.kinds.part import ObjectMeta, Part, Scope, View, view_of
from ursa.kinds.rbac import ClusterRole, ClusterRoleBinding
from ursa.kinds.roles import SYSTEM_TENANT, tenant_roles
from ursa.kinds.serviceaccount import ServiceAccount
from ursa.kinds.subnet import Subnet, SubnetSpec
from ursa.kinds.tenant import DEFAULT_VPC_CIDR, FINALIZER, Tenant
from ursa.kinds.vpc import DEFAULT_VPC, Vpc, VpcSpec

WORKERS = 4
LOOK_AGAIN_S = 5.0  # while something remains; namespaces that go are seen at once
NAMESPACES = ("default", "kube-system", "kube-public")
ACCOUNT = ("default", "default")  # namespace and name of what pods run as
DEFAULT_SUBNET = "default"
ROLE_KINDS: Mapping[str, type[Part]] = {
    "ClusterRole": ClusterRole,
    "ClusterRoleBinding": ClusterRoleBinding,
}


@dataclass(frozen=True, slots=True)
class Furniture:
    create: tuple[Part, ...]
    has_account: bool


Exists = Callable[[type[Part], Key], bool]


def furnish(tenant: Tenant, exists: Exists) -> Furniture:
    """Return what is missing from an active tenant, in the order in which it is made."""
    name = tenant.metadata.name
    wanted = (*namespaces(name), *roles(name), *network(tenant))
    missing = (obj for obj in wanted if not exists(type(obj), Key(name, "", obj.metadata.name)))
    return Furniture(tuple(missing), exists(ServiceAccount, Key(name, *ACCOUNT)))


def namespaces(tenant: str) -> list[Any]:
    return [Namespace(metadata=ObjectMeta(name=name, tenant=tenant)) for name in NAMESPACES]


def roles(tenant: str) -> list[Any]:
    """Return the roles of a tenant's users; those of `system` are the API server's to make."""
    if tenant == SYSTEM_TENANT:
        return []
    return [
        msgspec.convert(document, ROLE_KINDS[document["kind"]]) for document in tenant_roles(tenant)
    ]


def network(tenant: Tenant) -> list[Any]:
    name, cidr = tenant.metadata.name, tenant.spec.default_vpc_cidr or DEFAULT_VPC_CIDR
    vpc_metadata = ObjectMeta(name=DEFAULT_VPC, tenant=name)
    subnet_metadata = ObjectMeta(name=DEFAULT_SUBNET, tenant=name)
    return [
        Vpc(metadata=vpc_metadata, spec=VpcSpec(cidr=cidr)),
        Subnet(metadata=subnet_metadata, spec=SubnetSpec(vpc=DEFAULT_VPC, cidr=cidr)),
    ]


def readiness(step: Furniture, fault: ApiError | None) -> tuple[str, str, str]:
    """Return condition Ready's status, reason and message."""
    if fault is not None:
        return "False", "ProvisioningFailed", fault.message
    if step.create:
        made = ", ".join(f"{view_of(type(o)).kind} {meta_of(o).name}" for o in step.create)
        return "False", "Provisioning", f"Making {made}"
    if not step.has_account:
        namespace, name = ACCOUNT
        return "False", "Provisioning", f"Waiting for ServiceAccount {namespace}/{name}"
    return "True", "Provisioned", "Namespaces, roles and default network are there"


class TenantReconciler:
    def __init__(
        self, client: Client, caches: Caches, kinds: Sequence[Served], clock: Clock
    ) -> None:
        self._client = client
        self._tenants = caches.of(Tenant)
        self._kinds = [served for served in kinds if served.view.scope is Scope.TENANT]
        furniture = (Namespace, ServiceAccount, Vpc, Subnet, ClusterRole, ClusterRoleBinding)
        views = {view_of(cls) for cls in furniture}
        self._furniture: Mapping[View, Lister[Any]] = caches.metadata_of(
            [served for served in kinds if served.view in views]
        )
        self._clock = clock

    def controller(self) -> Controller[Key]:
        controller = Controller("tenant", self.reconcile, workers=WORKERS)
        controller.watch(self._tenants, own_key)
        for lister in self._furniture.values():
            controller.watch(lister, tenant_of)
        return controller

    async def reconcile(self, key: Key) -> Result:
        tenant = self._tenants.get(key)
        if tenant is None:
            return Result()
        if tenant.metadata.deletion_timestamp:
            return await self._remove(tenant)
        return await self._furnish(tenant)

    async def _furnish(self, tenant: Tenant) -> Result:
        step = furnish(tenant, self._exists)
        fault = await refusal(self._create(step))
        conditions = with_condition(
            tenant.status.conditions, "Ready", *readiness(step, fault), now_s=self._clock.now_s()
        )
        await self._client.update_status(tenant, replace(tenant.status, conditions=conditions))
        if fault is not None:
            raise fault
        return Result()

    def _exists(self, cls: type[Part], key: Key) -> bool:
        return self._furniture[view_of(cls)].get(key) is not None

    async def _create(self, step: Furniture) -> None:
        await each(self._client.create(obj, exist_ok=True) for obj in step.create)

    async def _remove(self, tenant: Tenant) -> Result:
        if not await contents.is_going(self._client, tenant):
            return Result()
        for stage in stages(self._kinds):
            remains = await contents.empty(self._client, stage, tenant.metadata.name)
            if not remains.is_empty:
                await self._tell(tenant, remains)
                return Result(requeue_after_s=LOOK_AGAIN_S)
        await contents.finalize(self._client, tenant, FINALIZER)
        return Result()

    async def _tell(self, tenant: Tenant, remains: contents.Remains) -> None:
        conditions = contents.told(tenant.status.conditions, remains, "Tenant", self._clock.now_s())
        await self._client.update_status(tenant, replace(tenant.status, conditions=conditions))


def stages(kinds: Iterable[Served]) -> Sequence[Sequence[Served]]:
    """Return the tenant's own kinds in the order of removal: namespaces, subnets, the rest."""
    kinds = [*kinds]
    first = [served for served in kinds if served.view == view_of(Namespace)]
    second = [served for served in kinds if served.view == view_of(Subnet)]
    return (first, second, [served for served in kinds if served not in first + second])


def tenant_of(key: Key, _: Part) -> Iterable[Key]:
    """Return the tenant that the object of `key` belongs to."""
    return (Key("", "", key.tenant),)
