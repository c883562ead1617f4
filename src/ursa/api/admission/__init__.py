"""Admission: what must hold for a write beyond its schema and its writer's rights.

    authorized ──▶ mutate (each plugin, in order) ──▶ validation ──▶ validate (each) ──▶ store

A plugin reads other objects from memory: what is not stored yet is not seen, except where a
plugin says how it closes that gap.
Source: Kubernetes "Admission Controllers"; reference of Arktos' plugins.
"""

from __future__ import annotations

from ursa.api.admission.escalation import Escalation
from ursa.api.admission.lifecycle import Lifecycle
from ursa.api.admission.network import Network
from ursa.api.admission.noderestriction import NodeRestriction
from ursa.api.admission.plugin import Plugin, Review
from ursa.api.admission.podpolicy import PodPolicy
from ursa.api.admission.serviceaccount import DefaultServiceAccount
from ursa.api.admission.serviceip import ServiceAddresses
from ursa.api.authorization import Authorizer
from ursa.api.objects import Document, Objects
from ursa.api.request import Attributes
from ursa.base.clock import Clock
from ursa.kinds.registry import Resource


class Admission:
    def __init__(self, objects: Objects, authorizer: Authorizer, clock: Clock) -> None:
        self._plugins: list[Plugin] = [
            Lifecycle(objects),
            NodeRestriction(),
            DefaultServiceAccount(objects),
            PodPolicy(),
            ServiceAddresses(objects, clock),
            Network(objects),
            Escalation(authorizer),
        ]

    async def mutate(
        self,
        operation: str,
        resource: Resource,
        new: Document | None,
        old: Document | None,
        attributes: Attributes,
    ) -> None:
        """Change `new` in place, or raise what refuses the request."""
        review = Review(operation, resource, new, old, attributes)
        for plugin in self._plugins:
            plugin.mutate(review)

    async def validate(
        self,
        operation: str,
        resource: Resource,
        new: Document | None,
        old: Document | None,
        attributes: Attributes,
    ) -> None:
        """Raise what refuses the request; on delete, `old` is what would go."""
        review = Review(operation, resource, new, old, attributes)
        for plugin in self._plugins:
            plugin.validate(review)
