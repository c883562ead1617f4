"""A node's identity writes its own Node and Lease, and pods that are bound to it. Nothing else.

A machine that is taken over must not move other machines' pods or declare them dead.
Source: Kubernetes, plugin/pkg/admission/noderestriction.
"""

from __future__ import annotations

from ursa.api.admission.plugin import CREATE, Plugin, Review, forbidden
from ursa.api.noderights import node_of
from ursa.api.objects import Document
from ursa.api.request import SYSTEM_TENANT

LEASE_NAMESPACE = "kube-node-lease"


class NodeRestriction(Plugin):
    def mutate(self, review: Review) -> None:
        """Refuse before anything else looks at the request."""
        check(review)

    def validate(self, review: Review) -> None:
        check(review)


def check(review: Review) -> None:
    node = node_of(review.attributes.user)
    if node is None:
        return
    match review.kind:
        case ("", "nodes"):
            _check_node(review, node)
        case ("coordination.k8s.io", "leases"):
            _check_lease(review, node)
        case ("", "pods"):
            _check_pod(review, node)


def _check_node(review: Review, node: str) -> None:
    if review.name != node:
        raise forbidden(review, f'node "{node}" is not allowed to modify node "{review.name}"')
    if review.new is None or review.old is None:
        return
    before, after = (d.get("spec") or {} for d in (review.old, review.new))
    if review.attributes.subresource == "" and before.get("taints") != after.get("taints"):
        raise forbidden(review, f'node "{node}" is not allowed to modify taints')


def _check_lease(review: Review, node: str) -> None:
    attributes = review.attributes
    own = (SYSTEM_TENANT, LEASE_NAMESPACE, node)
    if (attributes.tenant, attributes.namespace, review.name) != own:
        raise forbidden(review, f'node "{node}" may only write its own lease, {LEASE_NAMESPACE}')


def _check_pod(review: Review, node: str) -> None:
    if review.operation == CREATE:
        raise forbidden(review, f'node "{node}" may not create pods')
    if _node_name(review.old) != node:
        raise forbidden(review, f'node "{node}" may only change pods that are bound to it')


def _node_name(pod: Document | None) -> str:
    return str(((pod or {}).get("spec") or {}).get("nodeName", ""))
