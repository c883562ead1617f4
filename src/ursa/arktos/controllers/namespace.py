"""Namespace: furnish each active one, empty each terminating one.

Furniture is what pods need: ServiceAccount `default`, and ConfigMap `kube-root-ca.crt` with
the authority that signs the API server. Removal goes pods first and the rest when they
are gone, so that no pod loses its network or secrets while it says good-bye.
Source: Kubernetes, pkg/controller/{namespace,serviceaccount,certificates/rootcacertpublisher};
KEP-5080 (ordered namespace deletion).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from ursa.arktos.controllers import contents
from ursa.arktos.controllers.caches import Caches
from ursa.arktos.controllers.discovery import Served
from ursa.arktos.controllers.runtime import Controller, Result, each, own_key
from ursa.base.clock import Clock
from ursa.client import Client, Key
from ursa.kinds.configmap import ConfigMap
from ursa.kinds.namespace import FINALIZER, Namespace
from ursa.kinds.part import ObjectMeta, Part, Scope
from ursa.kinds.pod import Pod
from ursa.kinds.serviceaccount import ServiceAccount

WORKERS = 8  # a tenant is four namespaces, made and removed together
LOOK_AGAIN_S = 1.0  # while something remains; pods that go are seen at once
ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"
ROOT_CA_KEY = "ca.crt"
ROOT_CA_NOTE = {
    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the API server."
}


@dataclass(frozen=True, slots=True)
class Furniture:
    create: tuple[Part, ...]
    mend: tuple[ConfigMap, ...]


def furnish(
    namespace: Namespace, account: ServiceAccount | None, root_ca: ConfigMap | None, ca: str
) -> Furniture:
    """Return what is missing from an active namespace, and what has been tampered with."""
    tenant, name = namespace.metadata.tenant, namespace.metadata.name
    create: list[Part] = []
    if account is None:
        metadata = ObjectMeta(name=ACCOUNT, tenant=tenant, namespace=name)
        create.append(ServiceAccount(metadata=metadata))
    if root_ca is None:
        metadata = ObjectMeta(name=ROOT_CA, tenant=tenant, namespace=name, annotations=ROOT_CA_NOTE)
        create.append(ConfigMap(metadata=metadata, data={ROOT_CA_KEY: ca}))
    wrong = root_ca is not None and root_ca.data.get(ROOT_CA_KEY) != ca
    return Furniture(tuple(create), (root_ca,) if root_ca and wrong else ())


def stages(kinds: Iterable[Served]) -> Sequence[Sequence[Served]]:
    """Return the namespaced kinds in the order of removal; each stage waits for the one before."""
    namespaced = [served for served in kinds if served.view.scope is Scope.NAMESPACE]
    pods = [served for served in namespaced if (served.view.group, served.view.kind) == ("", "Pod")]
    return (pods, [served for served in namespaced if served not in pods])


class NamespaceReconciler:
    def __init__(
        self, client: Client, caches: Caches, kinds: Sequence[Served], ca: str, clock: Clock
    ) -> None:
        self._client = client
        self._namespaces = caches.of(Namespace)
        self._pods = caches.of(Pod)
        self._accounts = caches.of(ServiceAccount)
        self._root_cas = caches.selected(ConfigMap, field_selector=f"metadata.name={ROOT_CA}")
        self._stages = stages(kinds)
        self._ca = ca
        self._clock = clock

    def controller(self) -> Controller[Key]:
        controller = Controller("namespace", self.reconcile, workers=WORKERS)
        controller.watch(self._namespaces, own_key)
        controller.watch(
            self._accounts, lambda key, _: place_of(key) if key.name == ACCOUNT else ()
        )
        controller.watch(self._root_cas, lambda key, _: place_of(key))
        controller.watch(self._pods, self._emptying)
        return controller

    def _emptying(self, key: Key, pod: Pod) -> Iterable[Key]:
        """Return the pod's namespace if it waits for the pod to go."""
        (place,) = place_of(key)
        namespace = self._namespaces.get(place)
        going = namespace is not None and namespace.metadata.deletion_timestamp
        return (place,) if going and pod.metadata.deletion_timestamp else ()

    async def reconcile(self, key: Key) -> Result:
        namespace = self._namespaces.get(key)
        if namespace is None:
            return Result()
        if namespace.metadata.deletion_timestamp:
            return await self._remove(namespace)
        await self._furnish(namespace)
        return Result()

    async def _furnish(self, namespace: Namespace) -> None:
        tenant, name = namespace.metadata.tenant, namespace.metadata.name
        account = self._accounts.get(Key(tenant, name, ACCOUNT))
        root_ca = self._root_cas.get(Key(tenant, name, ROOT_CA))
        step = furnish(namespace, account, root_ca, self._ca)
        mended = {"data": {ROOT_CA_KEY: self._ca}}
        await each(
            [
                *(self._client.create(obj, exist_ok=True) for obj in step.create),
                *(self._client.patch(ConfigMap, obj, mended) for obj in step.mend),
            ]
        )

    async def _remove(self, namespace: Namespace) -> Result:
        tenant, name = namespace.metadata.tenant, namespace.metadata.name
        if not await contents.is_going(self._client, namespace):
            return Result()
        for stage in self._stages:
            remains = await contents.empty(self._client, stage, tenant, name)
            if not remains.is_empty:
                await self._tell(namespace, remains)
                return Result(requeue_after_s=LOOK_AGAIN_S)
        await contents.finalize(self._client, namespace, FINALIZER)
        return Result()

    async def _tell(self, namespace: Namespace, remains: contents.Remains) -> None:
        conditions = contents.told(
            namespace.status.conditions, remains, "Namespace", self._clock.now_s()
        )
        status = replace(namespace.status, conditions=conditions)
        await self._client.update_status(namespace, status)


def place_of(key: Key) -> tuple[Key]:
    """Return the key of the namespace that the object of `key` is in."""
    return (Key(key.tenant, "", key.namespace),)
