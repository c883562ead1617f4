"""The scheduler's picture of the cluster: columns of nodes, and what is placed on them.

It follows the listers' changes, one object at a time, and adds what the scheduler has decided
but not seen yet: an assumed pod counts as placed until its binding shows up, fails, or the pod
goes. Columns are rebuilt when a node changes in what the scheduler reads of it; a pod that
comes or goes is an addition to one column.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from ursa.arktos.scheduler import matching, peers
from ursa.arktos.scheduler.columns import NodeFacts, Nodes, facts_of, nodes_from
from ursa.arktos.scheduler.demand import Requests, requests_of, rules_of, workload_of
from ursa.arktos.scheduler.peers import Peer
from ursa.arktos.scheduler.place import Demand, NoFit, place
from ursa.client.key import Key, key_of
from ursa.client.lister import controller_uid
from ursa.kinds.namespace import Namespace
from ursa.kinds.node import Node
from ursa.kinds.pod import Pod

log = logging.getLogger(__name__)

ONE_POD: Requests = {"pods": 1}  # what a pod with unreadable requests is taken to hold


class Placed(NamedTuple):
    pod: Pod
    node: str
    requests: Requests


class Cluster:
    """`on_room` is called when a pod that fitted nowhere may fit."""

    def __init__(self, on_room: Callable[[], None] = lambda: None) -> None:
        self._on_room = on_room
        self._facts: dict[str, NodeFacts] = {}
        self._placed: dict[str, dict[Key, Placed]] = {}  # by tenant
        self._shunning: dict[str, set[Key]] = {}  # by tenant: pods with anti-affinity terms
        self._assumed: dict[Key, str] = {}  # → the pod's uid
        self._namespaces: dict[str, dict[str, dict[str, str]]] = {}  # tenant → name → labels
        self._nodes: Nodes | None = None  # None: to be rebuilt
        self._columns: dict[str, int] = {}

    def node_changed(self, key: Key, before: Node | None, after: Node | None) -> None:
        facts = None
        if after is not None:
            try:
                facts = facts_of(after)
            except ValueError as fault:  # a quantity that is none: the node offers nothing
                log.error("node left out", extra={"node": key.name, "error": str(fault)})
        if facts == self._facts.get(key.name):
            return
        if facts is None:
            del self._facts[key.name]
        else:
            self._facts[key.name] = facts
        self._nodes = None
        self._on_room()

    def namespace_changed(
        self, key: Key, before: Namespace | None, after: Namespace | None
    ) -> None:
        of_tenant = self._namespaces.setdefault(key.tenant, {})
        if after is None:
            of_tenant.pop(key.name, None)
        else:
            of_tenant[key.name] = after.metadata.labels

    def pod_changed(self, key: Key, before: Pod | None, after: Pod | None) -> None:
        if after is not None and self._is_binding(key, after):
            return
        holds = after is not None and _holds(after)
        if holds and before is not None and after is not None and _holds_the_same(before, after):
            of_tenant = self._placed[key.tenant]
            of_tenant[key] = of_tenant[key]._replace(pod=after)
            return
        self._assumed.pop(key, None)
        held = self._remove(key)
        if holds and after is not None:
            self._add(after, after.spec.node_name)
        if holds or held:
            self._on_room()

    def _is_binding(self, key: Key, pod: Pod) -> bool:
        """Return whether the pod is assumed and its binding has not shown up."""
        waits = not pod.spec.node_name and not pod.is_finished
        return waits and self._assumed.get(key) == pod.metadata.uid

    def is_assumed(self, key: Key) -> bool:
        return key in self._assumed

    def assume(self, pod: Pod, node: str) -> None:
        """Count the pod as placed, before its binding is stored."""
        self._assumed[key_of(pod)] = pod.metadata.uid
        self._add(pod, node)

    def forget(self, pod: Pod) -> None:
        """Take an assumption back; no effect once the pod was seen bound, or replaced."""
        key = key_of(pod)
        if self._assumed.get(key) == pod.metadata.uid:
            del self._assumed[key]
            self._remove(key)
            self._on_room()

    def place(self, pod: Pod) -> str | NoFit:
        """Return the name of the best node, or why none fits. ValueError: rules beyond reading."""
        nodes = self.nodes()
        outcome = place(self.demand(pod), nodes)
        return outcome if isinstance(outcome, NoFit) else nodes.facts[outcome].name

    def demand(self, pod: Pod) -> Demand:
        nodes, rules = self.nodes(), rules_of(pod)
        vector, absent = nodes.vector(requests_of(pod))
        tenant = pod.metadata.tenant
        shunning = self._shunning.get(tenant)
        ruled_out: list[peers.Refusal] = []
        if nodes.facts and (shunning or peers.has_rules(pod)):
            ruled_out = peers.refusals(
                pod,
                self._peers(tenant, self._placed.get(tenant, {})),
                self._peers(tenant, shunning or ()),
                matching.matched(rules, nodes),
                nodes,
                self._namespaces.get(tenant, {}),
            )
        return Demand(vector, absent, workload_of(pod), rules, controller_uid(pod), ruled_out)

    def nodes(self) -> Nodes:
        if self._nodes is None:
            self._nodes = nodes_from([*self._facts.values()])
            self._columns = {f.name: column for column, f in enumerate(self._nodes.facts)}
            for of_tenant in self._placed.values():
                for placed in of_tenant.values():
                    self._count(placed, 1)
        return self._nodes

    def _add(self, pod: Pod, node: str) -> None:
        tenant, key = pod.metadata.tenant, key_of(pod)
        try:
            requests = requests_of(pod)
        except ValueError as fault:
            log.error("requests unreadable", extra={"key": str(key), "error": str(fault)})
            requests = ONE_POD
        placed = Placed(pod, node, requests)
        self._placed.setdefault(tenant, {})[key] = placed
        if peers.anti_affinity_terms(pod):
            self._shunning.setdefault(tenant, set()).add(key)
        self._count(placed, 1)

    def _remove(self, key: Key) -> bool:
        """Return whether the pod was placed."""
        of_tenant = self._placed.get(key.tenant, {})
        placed = of_tenant.pop(key, None)
        if placed is None:
            return False
        if not of_tenant:
            del self._placed[key.tenant]
        shunning = self._shunning.get(key.tenant, set())
        shunning.discard(key)
        if not shunning:
            self._shunning.pop(key.tenant, None)
        self._count(placed, -1)
        return True

    def _count(self, placed: Placed, sign: int) -> None:
        """Add a pod to its node's column (1), or take it off (-1)."""
        column = self._columns.get(placed.node)
        if self._nodes is None or column is None:
            return
        vector, _ = self._nodes.vector(placed.requests)
        self._nodes.free[:, column] -= sign * vector
        if owner := controller_uid(placed.pod):
            held = self._nodes.owned.setdefault(owner, np.zeros(len(self._columns), np.int64))
            held[column] += sign
            if not held.any():
                del self._nodes.owned[owner]

    def _peers(self, tenant: str, keys: Iterable[Key]) -> list[Peer]:
        of_tenant = self._placed.get(tenant, {})
        placed = (of_tenant[key] for key in keys)
        return [
            Peer(each.pod, self._columns[each.node])
            for each in placed
            if each.node in self._columns
        ]


def _holds(pod: Pod) -> bool:
    """Return whether the pod holds resources of a node."""
    return bool(pod.spec.node_name) and not pod.is_finished


def _holds_the_same(before: Pod, after: Pod) -> bool:
    """Return whether a bound pod has changed in nothing that is counted."""
    return (
        _holds(before)
        and before.metadata.uid == after.metadata.uid
        and before.spec == after.spec
        and before.metadata.labels == after.metadata.labels
        and before.metadata.owner_references == after.metadata.owner_references
    )
