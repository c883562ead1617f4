"""Where other pods allow a pod to be: affinity, anti-affinity, spread; inside one tenant."""

from ursa.arktos.scheduler.cluster import Cluster
from ursa.client import Key, key_of
from ursa.kinds.namespace import Namespace
from ursa.kinds.node import Node, NodeStatus
from ursa.kinds.part import Condition, LabelSelector, ObjectMeta
from ursa.kinds.placement import (
    Affinity,
    PodAffinity,
    PodAffinityTerm,
    TopologySpreadConstraint,
)
from ursa.kinds.pod import Pod, PodSpec

ZONES = {"a": "z1", "b": "z1", "c": "z2", "d": ""}


def cluster(*pods: Pod) -> Cluster:
    """Nodes a and b in zone z1, c in z2, d without a zone."""
    made = Cluster()
    for name, zone in ZONES.items():
        labels = {"host": name} | ({"zone": zone} if zone else {})
        conditions = [Condition(type=t, status="True") for t in ("Ready", "ContainerRuntimeReady")]
        status = NodeStatus(allocatable={"pods": "10"}, conditions=tuple(conditions))
        node = Node(metadata=ObjectMeta(name=name, labels=labels), status=status)
        made.node_changed(Key("", "", name), None, node)
    for pod in pods:
        made.pod_changed(key_of(pod), None, pod)
    return made


def pod(name, *, on="", app="web", tenant="acme", namespace="dev", **spec) -> Pod:
    metadata = ObjectMeta(
        tenant=tenant, namespace=namespace, name=name, uid=f"{tenant}-{name}", labels={"app": app}
    )
    return Pod(metadata=metadata, spec=PodSpec(node_name=on, **spec))


def term(app="web", key="zone", **more) -> PodAffinity:
    selector = LabelSelector(match_labels={"app": app})
    wanted = PodAffinityTerm(topology_key=key, label_selector=selector, **more)
    return PodAffinity(required_during_scheduling_ignored_during_execution=(wanted,))


def near(**term_of) -> Affinity:
    return Affinity(pod_affinity=term(**term_of))


def apart(**term_of) -> Affinity:
    return Affinity(pod_anti_affinity=term(**term_of))


def spread(key="zone", **more) -> TopologySpreadConstraint:
    selector = LabelSelector(match_labels={"app": "web"})
    return TopologySpreadConstraint(
        **{"max_skew": 1, "topology_key": key, "when_unsatisfiable": "DoNotSchedule"} | more,
        label_selector=selector,
    )


def allowed(made: Cluster, wanted: Pod) -> set[str]:
    """Return the nodes that the filters leave, by asking for each node alone."""
    demand = made.demand(wanted)
    names = [facts.name for facts in made.nodes().facts]
    return {n for i, n in enumerate(names) if not any(mask[i] for _, mask in demand.peers)}


def test_affinity_keeps_to_the_zone_of_the_pods_it_selects():
    made = cluster(pod("db", on="c", app="db"))
    assert allowed(made, pod("p", affinity=near(app="db"))) == {"c"}
    assert allowed(made, pod("p", affinity=near(app="cache"))) == set()


def test_the_first_of_a_group_may_go_wherever_there_is_a_zone():
    made = cluster()
    assert allowed(made, pod("p", affinity=near())) == {"a", "b", "c"}


def test_anti_affinity_stays_out_of_the_zone():
    made = cluster(pod("q", on="a"))
    assert allowed(made, pod("p", affinity=apart())) == {"c", "d"}
    assert allowed(made, pod("p", affinity=apart(key="host"))) == {"b", "c", "d"}


def test_a_placed_pods_anti_affinity_keeps_others_away():
    made = cluster(pod("q", on="a", app="lonely", affinity=apart(app="web", key="host")))
    assert allowed(made, pod("p")) == {"b", "c", "d"}
    assert allowed(made, pod("p", app="db")) == set(ZONES)
    made.pod_changed(Key("acme", "dev", "q"), pod("q", on="a"), None)
    assert allowed(made, pod("p")) == set(ZONES)


def test_another_tenants_pods_are_neither_sought_nor_shunned():
    theirs = pod("q", on="a", tenant="beta", affinity=apart())
    made = cluster(theirs)
    assert allowed(made, pod("p")) == set(ZONES)
    assert allowed(made, pod("p", affinity=apart())) == set(ZONES)
    assert allowed(made, pod("p", app="db", affinity=near(app="web"))) == set()


def test_namespaces_are_the_pods_own_or_those_named_or_those_selected():
    made = cluster(pod("q", on="a", namespace="prod"))
    labelled = Namespace(metadata=ObjectMeta(tenant="acme", name="prod", labels={"env": "prod"}))
    made.namespace_changed(Key("acme", "", "prod"), None, labelled)
    assert allowed(made, pod("p", affinity=apart())) == set(ZONES)
    assert allowed(made, pod("p", affinity=apart(namespaces=("prod",)))) == {"c", "d"}
    for labels, nodes in (({"env": "prod"}, {"c", "d"}), ({"env": "test"}, set(ZONES))):
        chosen = LabelSelector(match_labels=labels)
        assert allowed(made, pod("p", affinity=apart(namespace_selector=chosen))) == nodes


def test_spread_fills_the_emptiest_zone_first_and_needs_the_label():
    made = cluster(pod("q", on="a"))
    assert allowed(made, pod("p", topology_spread_constraints=(spread(),))) == {"c"}
    loose = spread(when_unsatisfiable="ScheduleAnyway")
    assert allowed(made, pod("p", topology_spread_constraints=(loose,))) == set(ZONES)


def test_spread_counts_assumed_pods_and_heeds_min_domains():
    made = cluster()
    for name, node in (("q", "a"), ("r", "c")):
        made.assume(pod(name), node)
    constrained = (spread(),)
    assert allowed(made, pod("p", topology_spread_constraints=constrained)) == {"a", "b", "c"}
    three = (spread(min_domains=3),)
    assert allowed(made, pod("p", topology_spread_constraints=three)) == set()


def test_the_refusal_is_kubernetes_own():
    made = cluster(pod("q", on="a"), pod("r", on="c"), pod("s", on="d"))
    outcome = made.place(pod("p", affinity=apart()))
    assert outcome == "d"  # a node without the label is in no domain
    outcome = made.place(pod("p", affinity=apart(key="host")))
    assert outcome == "b"
    made.assume(pod("t"), "b")
    assert str(made.place(pod("p", affinity=apart(key="host")))) == (
        "0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules."
    )
