"""How many pods does one scheduler core place per second on 5,000 nodes?

place_5k_nodes: `place` alone, equal pods, in batches of 200. schedule_5k_nodes: the cluster's
whole part of a pod (demand, place, assume). The nodes are half full, so that filters have work.
Excluded: the API round trip of a binding. Budget: SPECIFICATION.md, "Scheduler throughput".
"""

from __future__ import annotations

import numpy as np

from harness import machine, measure
from ursa.arktos.scheduler.cluster import Cluster
from ursa.arktos.scheduler.place import NoFit, place
from ursa.client import Key
from ursa.kinds.container import Container, ResourceRequirements
from ursa.kinds.node import Node, NodeStatus
from ursa.kinds.part import Condition, ObjectMeta, OwnerReference
from ursa.kinds.pod import Pod, PodSpec

NODES = 5_000
BATCH_PODS = 200
READY = tuple(Condition(type=t, status="True") for t in ("Ready", "ContainerRuntimeReady"))
MACHINE = {"cpu": "64", "memory": "256Gi", "pods": "110"}


def half_full_cluster(rng: np.random.Generator) -> Cluster:
    cluster = Cluster()
    for number in range(NODES):
        name = f"node-{number}"
        node = Node(
            metadata=ObjectMeta(name=name, labels={"zone": f"z{number % 3}"}),
            status=NodeStatus(allocatable=MACHINE, conditions=READY),
        )
        cluster.node_changed(Key("", "", name), None, node)
    free = cluster.nodes().free
    free[:] = (free * rng.uniform(0.2, 0.8, free.shape)).astype(np.int64)
    return cluster


def pod(number: int, cpu: str) -> Pod:
    resources = ResourceRequirements(requests={"cpu": cpu, "memory": "512Mi"})
    owner = OwnerReference(uid=f"set-{number % 10}", controller=True)
    name = f"pod-{number}"
    metadata = ObjectMeta(
        tenant="acme", namespace="dev", name=name, uid=name, owner_references=(owner,)
    )
    spec = PodSpec(containers=(Container(resources=resources),), node_selector={"zone": "z1"})
    return Pod(metadata=metadata, spec=spec)


def main() -> None:
    cluster = half_full_cluster(np.random.default_rng(seed=1))
    pods = [pod(number, "500m") for number in range(BATCH_PODS)]

    def place_a_batch() -> int:
        nodes, demand = cluster.nodes(), cluster.demand(pods[0])
        taken = []
        for _ in range(BATCH_PODS):
            column = place(demand, nodes)
            assert not isinstance(column, NoFit)
            nodes.free[:, column] -= demand.resources
            taken.append(column)
        for column in taken:
            nodes.free[:, column] += demand.resources
        return BATCH_PODS

    def schedule_a_batch() -> int:
        for each in pods:
            node = cluster.place(each)
            assert not isinstance(node, NoFit)
            cluster.assume(each, node)
        for each in pods:
            cluster.forget(each)
        return BATCH_PODS

    measure("place_5k_nodes", place_a_batch)
    measure("schedule_5k_nodes", schedule_a_batch)
    machine()


if __name__ == "__main__":
    main()
