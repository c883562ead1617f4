"""`place` against a brute-force reading of the same rules, and its words."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ursa.arktos.scheduler.cluster import Cluster
from ursa.arktos.scheduler.place import NoFit
from ursa.client import Key
from ursa.kinds.container import Container, ResourceRequirements
from ursa.kinds.node import Node, NodeSpec, NodeStatus
from ursa.kinds.part import Condition, ObjectMeta, OwnerReference
from ursa.kinds.placement import (
    Affinity,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PreferredSchedulingTerm,
    Taint,
    Toleration,
)
from ursa.kinds.pod import Pod, PodSpec
from ursa.kinds.vm import VirtualMachine

READY = ("Ready", "ContainerRuntimeReady", "VmRuntimeReady")


def node(name: str, *, ready=READY, labels=None, taints=(), cordoned=False, **allocatable) -> Node:
    offered = {"cpu": "4", "memory": "8Gi", "pods": "10"} | allocatable
    conditions = [Condition(type=t, status="True" if t in ready else "False") for t in READY]
    return Node(
        metadata=ObjectMeta(name=name, labels={"name": name} | (labels or {})),
        spec=NodeSpec(taints=tuple(taints), unschedulable=cordoned),
        status=NodeStatus(allocatable=offered, conditions=tuple(conditions)),
    )


def pod(name: str, *, on="", owner="", vm=False, requests=None, limits=None, **spec) -> Pod:
    resources = ResourceRequirements(requests=requests or {}, limits=limits or {})
    if vm:
        spec["virtual_machine"] = VirtualMachine(name="vm", resources=resources)
    else:
        spec["containers"] = (Container(name="c", resources=resources),)
    owners = (OwnerReference(uid=owner, controller=True),) if owner else ()
    metadata = ObjectMeta(
        tenant="acme", namespace="dev", name=name, uid=f"uid-{name}", owner_references=owners
    )
    return Pod(metadata=metadata, spec=PodSpec(node_name=on, **spec))


def cluster_of(nodes, pods=()) -> Cluster:
    cluster = Cluster()
    for each in nodes:
        cluster.node_changed(Key("", "", each.metadata.name), None, each)
    for each in pods:
        meta = each.metadata
        cluster.pod_changed(Key(meta.tenant, meta.namespace, meta.name), None, each)
    return cluster


def refusal(nodes, wanted: Pod, pods=()) -> str:
    outcome = cluster_of(nodes, pods).place(wanted)
    assert isinstance(outcome, NoFit)
    return str(outcome)


def test_a_refusal_counts_each_node_by_its_first_reason_in_kubernetes_words():
    nodes = [
        node("a", cpu="100m"),
        node("b", cpu="100m", memory="1Mi"),
        node("c", cordoned=True),
        node("d", taints=[Taint(key="k", value="v", effect="NoSchedule")]),
        node("e", ready=("Ready", "VmRuntimeReady")),
    ]
    wanted = pod("p", requests={"cpu": "1", "memory": "1Gi"})
    assert refusal(nodes, wanted) == (
        "0/5 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint {k: v},"
        " 1 node(s) runtime is not ready, 1 node(s) were unschedulable, 2 Insufficient cpu."
    )


def test_a_cluster_without_nodes_says_so():
    assert refusal([], pod("p")) == "no nodes available to schedule pods"


def test_a_full_node_has_too_many_pods():
    held = [pod("q", on="a")]
    assert refusal([node("a", pods="1")], pod("p"), held) == (
        "0/1 nodes are available: 1 Too many pods."
    )


def test_a_resource_that_no_node_has_is_insufficient():
    wanted = pod("p", requests={"nvidia.com/gpu": "1"})
    assert refusal([node("a")], wanted) == (
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    )


def test_a_resource_that_one_node_has_is_found_there():
    nodes = [node("a"), node("b", **{"nvidia.com/gpu": "2"})]
    assert cluster_of(nodes).place(pod("p", requests={"nvidia.com/gpu": "1"})) == "b"


def test_a_machine_asks_for_what_its_limits_say_and_for_a_vm_runtime():
    nodes = [node("a", ready=("Ready", "ContainerRuntimeReady")), node("b")]
    machine = pod("vm", vm=True, limits={"cpu": "3", "memory": "1Gi"})
    cluster = cluster_of(nodes)
    assert cluster.place(machine) == "b"
    cluster.assume(machine, "b")
    second = cluster.place(pod("vm2", vm=True, limits={"cpu": "3"}))
    assert str(second) == (
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) runtime is not ready."
    )


@pytest.mark.parametrize("missing", [None, "Unknown"])
def test_a_node_that_is_not_heard_of_has_no_runtime(missing):
    silent = node("a")
    conditions = [c for c in silent.status.conditions if c.type != "Ready"]
    if missing:
        conditions.append(Condition(type="Ready", status=missing))
    status = NodeStatus(allocatable=silent.status.allocatable, conditions=tuple(conditions))
    outcome = refusal([Node(metadata=silent.metadata, status=status)], pod("p"))
    assert outcome == "0/1 nodes are available: 1 node(s) runtime is not ready."


def test_a_sets_pods_are_spread_evenly_whatever_else_the_nodes_hold():
    big = pod("big", on="a", requests={"cpu": "3", "memory": "6Gi"})
    cluster = cluster_of([node("a"), node("b")], [big])
    chosen = []
    for number in range(6):
        member = pod(f"m{number}", owner="rs")
        chosen.append(cluster.place(member))
        cluster.assume(member, chosen[-1])
    assert sorted(chosen) == ["a"] * 3 + ["b"] * 3


def test_pods_without_requests_and_owners_do_not_pile_up_on_one_node():
    cluster = cluster_of([node("a"), node("b")])
    chosen = set()
    for number in range(2):
        single = pod(f"p{number}")
        chosen.add(cluster.place(single))
        cluster.assume(single, cluster.place(single))
    assert chosen == {"a", "b"}


def test_an_overcommitted_node_still_takes_what_asks_for_nothing_there():
    held = [pod("q", on="a", requests={"cpu": "9"})]
    cluster = cluster_of([node("a")], held)
    assert cluster.place(pod("p")) == "a"
    assert cluster.place(pod("p", requests={"memory": "1Gi"})) == "a"


def test_a_preferred_taint_is_avoided_and_a_preferred_label_sought():
    shunned = node("a", taints=[Taint(key="k", effect="PreferNoSchedule")])
    assert cluster_of([shunned, node("b"), node("c")]).place(pod("p")) == "b"
    here = NodeSelectorRequirement(key="name", operator="In", values=("c",))
    preference = PreferredSchedulingTerm(
        weight=1, preference=NodeSelectorTerm(match_expressions=(here,))
    )
    affinity = NodeAffinity(preferred_during_scheduling_ignored_during_execution=(preference,))
    wanted = pod("p", affinity=Affinity(node_affinity=affinity))
    assert cluster_of([shunned, node("b"), node("c")]).place(wanted) == "c"


# The oracle: one node at a time, in plain Python, from the wire's words.

CPUS = st.sampled_from(["500m", "1", "2", "4"])
TAINTS = st.lists(
    st.builds(
        Taint,
        key=st.sampled_from(["a", "b"]),
        value=st.sampled_from(["", "x"]),
        effect=st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"]),
    ),
    max_size=2,
)
TOLERATIONS = st.lists(
    st.builds(
        Toleration,
        key=st.sampled_from(["", "a", "b"]),
        operator=st.sampled_from(["Exists", "Equal"]),
        value=st.sampled_from(["", "x"]),
        effect=st.sampled_from(["", "NoSchedule", "NoExecute"]),
    ),
    max_size=2,
)
REQUIREMENTS = st.builds(
    NodeSelectorRequirement,
    key=st.sampled_from(["zone", "size"]),
    operator=st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]),
    values=st.sampled_from([("1",), ("2",), ("1", "3")]),
)
TERMS = st.builds(NodeSelectorTerm, match_expressions=st.lists(REQUIREMENTS, max_size=2).map(tuple))
LABELS = st.dictionaries(st.sampled_from(["zone", "size"]), st.sampled_from(["1", "2", "3"]))
NODES = st.lists(
    st.builds(
        SimpleNamespace,
        cpu=CPUS,
        pods=st.sampled_from(["1", "2", "9"]),
        labels=LABELS,
        taints=TAINTS,
        cordoned=st.booleans(),
        ready=st.sets(st.sampled_from(READY[1:])),
    ),
    max_size=5,
)
PODS = st.builds(
    SimpleNamespace,
    cpu=CPUS,
    vm=st.booleans(),
    owner=st.sampled_from(["", "rs"]),
    selector=st.dictionaries(st.just("zone"), st.sampled_from(["1", "2"])),
    terms=st.none() | st.lists(TERMS, min_size=1, max_size=2),
    tolerations=TOLERATIONS,
)
MILLIS = {"500m": 500, "1": 1000, "2": 2000, "4": 4000}


@settings(max_examples=300, deadline=None)
@given(NODES, st.lists(PODS, max_size=6))
def test_place_agrees_with_the_oracle(drawn, asked):
    nodes = [
        node(
            f"n{i}",
            cpu=n.cpu,
            pods=n.pods,
            labels=n.labels,
            taints=n.taints,
            cordoned=n.cordoned,
            ready={"Ready", *n.ready},
        )
        for i, n in enumerate(drawn)
    ]
    cluster, held = cluster_of(nodes), {f"n{i}": [] for i in range(len(nodes))}
    for number, a in enumerate(asked):
        required = NodeSelector(node_selector_terms=tuple(a.terms)) if a.terms else None
        affinity = NodeAffinity(required_during_scheduling_ignored_during_execution=required)
        wanted = pod(
            f"p{number}",
            vm=a.vm,
            owner=a.owner,
            requests={"cpu": a.cpu},
            node_selector=a.selector,
            affinity=Affinity(node_affinity=affinity),
            tolerations=tuple(a.tolerations),
        )
        fitting = [i for i, n in enumerate(drawn) if fits(n, a, held[f"n{i}"])]
        outcome = cluster.place(wanted)
        if isinstance(outcome, NoFit):
            assert fitting == []
            assert sum(outcome.refused.values()) >= outcome.nodes == len(nodes)
            continue
        best = max(fitting, key=lambda i: (liking(drawn, i, a, held, fitting), -i))
        assert outcome == f"n{best}"
        cluster.assume(wanted, outcome)
        held[outcome].append(a)


def fits(n, a, held) -> bool:
    cordon = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
    if n.cordoned and not tolerated(cordon, a.tolerations):
        return False
    for taint in n.taints:
        if taint.effect != "PreferNoSchedule" and not tolerated(taint, a.tolerations):
            return False
    if any(n.labels.get(key) != value for key, value in a.selector.items()):
        return False
    if a.terms and not any(term_holds(term, n.labels) for term in a.terms):
        return False
    if ("VmRuntimeReady" if a.vm else "ContainerRuntimeReady") not in n.ready:
        return False
    used = sum(MILLIS[other.cpu] for other in held)
    return used + MILLIS[a.cpu] <= MILLIS[n.cpu] and len(held) < int(n.pods)


def tolerated(taint, tolerations) -> bool:
    for t in tolerations:
        key_fits = t.key in ("", taint.key)
        effect_fits = t.effect in ("", taint.effect)
        if key_fits and effect_fits and (t.operator == "Exists" or t.value == taint.value):
            return True
    return False


def term_holds(term, labels) -> bool:
    if not term.match_expressions:
        return False
    for r in term.match_expressions:
        value = labels.get(r.key)
        holds = {
            "In": value in r.values,
            "NotIn": value not in r.values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
            "Gt": value is not None and int(value) > int(r.values[0]),
            "Lt": value is not None and int(value) < int(r.values[0]),
        }[r.operator]
        if not holds:
            return False
    return True


def liking(drawn, i, a, held, fitting) -> float:
    def bad(n) -> int:
        return sum(
            t.effect == "PreferNoSchedule" and not tolerated(t, a.tolerations) for t in n.taints
        )

    def mates(i) -> int:
        return sum(1 for other in held[f"n{i}"] if other.owner == a.owner)

    avoidance = 1 - bad(drawn[i]) / max(1, *(bad(n) for n in drawn))
    spread = 0.0
    everywhere = sum(mates(j) for j in range(len(drawn)))
    if a.owner and everywhere:
        fewest, most = min(map(mates, fitting)), max(map(mates, fitting))
        spread = (most - mates(i)) / max(most - fewest, 1)
    cpu = MILLIS[drawn[i].cpu]
    free_cpu = (cpu - sum(MILLIS[o.cpu] for o in held[f"n{i}"]) - MILLIS[a.cpu]) / cpu
    slots = int(drawn[i].pods)
    free_pods = (slots - len(held[f"n{i}"]) - 1) / slots
    allocated = (free_cpu + 1.0 + free_pods) / 3
    return round(3 * avoidance + 2 * spread + allocated, 9)
