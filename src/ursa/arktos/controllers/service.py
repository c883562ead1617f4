"""Service: say, once for each, that nothing balances behind its address.

A Service's address is allocated when it is made, because clients wait for it; that no
traffic reaches its pods must not be found out by silence.
"""

from __future__ import annotations

from ursa.arktos.controllers.runtime import Controller, Result, own_key
from ursa.base.clock import Clock, rfc3339
from ursa.base.ids import child_name
from ursa.client import Client, Key, Lister
from ursa.kinds.event import Event, EventSource
from ursa.kinds.part import ObjectMeta, ObjectReference
from ursa.kinds.service import Service

REASON = "ServiceNotBalanced"
MESSAGE = "This release allocates the address but does not balance it: address the pods directly"
HEADLESS, EXTERNAL = "None", "ExternalName"


def is_balanced(service: Service) -> bool:
    """Return whether users expect the service's address to answer."""
    return service.spec.type != EXTERNAL and service.spec.cluster_ip != HEADLESS


def notice(service: Service, component: str, now_s: float) -> Event:
    """Return the event; its name depends on the service alone, so it is made once."""
    metadata = service.metadata
    now = rfc3339(now_s)
    return Event(
        metadata=ObjectMeta(
            name=child_name(metadata.name, metadata.uid, REASON),
            tenant=metadata.tenant,
            namespace=metadata.namespace,
        ),
        involved_object=ObjectReference(
            kind="Service",
            api_version="v1",
            tenant=metadata.tenant,
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
        ),
        type="Warning",
        reason=REASON,
        message=MESSAGE,
        source=EventSource(component=component),
        first_timestamp=now,
        last_timestamp=now,
        count=1,
    )


class ServiceReconciler:
    def __init__(
        self, client: Client, services: Lister[Service], component: str, clock: Clock
    ) -> None:
        self._client = client
        self._services = services
        self._component = component
        self._clock = clock

    def controller(self) -> Controller[Key]:
        controller = Controller("service", self.reconcile, workers=1)
        controller.watch(self._services, own_key)
        return controller

    async def reconcile(self, key: Key) -> Result:
        service = self._services.get(key)
        if service is None or service.metadata.deletion_timestamp or not is_balanced(service):
            return Result()
        event = notice(service, self._component, self._clock.now_s())
        await self._client.create(event, exist_ok=True)
        return Result()
