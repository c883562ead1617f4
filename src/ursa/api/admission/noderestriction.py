"""A node's identity writes its own Node and Lease, and pods that are bound to it. Nothing else.

A machine that is taken over must not move other machines' pods or declare them dead.
Source: Kubernetes, plugin/pkg/admission/noderestriction.
"""

from __future__ import annotations

from ursa.api.admission.plugin import CREATE, Plugin, Review, forbidden
from ursa.api.noderights import node_of
from ursa.api.objects import Document, Objects, served
from ursa.api.request import SYSTEM_TENANT

LEASE_NAMESPACE = "kube-node-lease"


class NodeRestriction(Plugin):
    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._pods = served("", "pods")

    def mutate(self, review: Review) -> None:
        """Refuse before anything else looks at the request."""
        self._check(review)

    def validate(self, review: Review) -> None:
        self._check(review)

    def _check(self, review: Review) -> None:
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
            case ("", "serviceaccounts"):
                self._check_token(review, node)

    def _check_token(self, review: Review, node: str) -> None:
        """A node asks for tokens of its own pods' accounts, bound to those pods."""
        bound = review.spec().get("boundObjectRef") or {}
        attributes = review.attributes
        if bound.get("kind") != "Pod":
            raise forbidden(review, f'node "{node}" may only request tokens bound to its pods')
        pod = self._objects.get(
            self._pods, attributes.tenant, attributes.namespace, bound.get("name", "")
        )
        spec = (pod or {}).get("spec") or {}
        if _node_name(pod) != node or spec.get("serviceAccountName") != attributes.name:
            raise forbidden(
                review, f'node "{node}" requested a token for a pod that is not its own'
            )


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
