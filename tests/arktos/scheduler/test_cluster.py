"""The picture stays true through every order of assumptions and events."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ursa.arktos.scheduler.cluster import Cluster
from ursa.client import Key, key_of
from ursa.kinds.container import Container, ResourceRequirements
from ursa.kinds.node import Node, NodeSpec, NodeStatus
from ursa.kinds.part import Condition, ObjectMeta, OwnerReference
from ursa.kinds.pod import Pod, PodSpec, PodStatus


def node(name: str, **spec) -> Node:
    conditions = [Condition(type=t, status="True") for t in ("Ready", "ContainerRuntimeReady")]
    status = NodeStatus(allocatable={"cpu": "8", "pods": "10"}, conditions=tuple(conditions))
    return Node(metadata=ObjectMeta(name=name), spec=NodeSpec(**spec), status=status)


def pod(name: str, *, on="", uid="", phase="Pending", cpu="1") -> Pod:
    owner = OwnerReference(uid="rs", controller=True)
    metadata = ObjectMeta(
        tenant="acme", namespace="dev", name=name, uid=uid or name, owner_references=(owner,)
    )
    resources = ResourceRequirements(requests={"cpu": cpu})
    spec = PodSpec(node_name=on, containers=(Container(resources=resources),))
    return Pod(metadata=metadata, spec=spec, status=PodStatus(phase=phase))


def cluster(**callbacks) -> Cluster:
    made = Cluster(**callbacks)
    for name in ("a", "b"):
        made.node_changed(Key("", "", name), None, node(name))
    return made


def free(made: Cluster) -> list[int]:
    return made.nodes().free[0].tolist()  # millicores of a and b


def test_a_pod_holds_its_node_until_it_ends_or_goes():
    made = cluster()
    bound, done = pod("p", on="a"), pod("p", on="a", phase="Succeeded")
    key = key_of(bound)
    made.pod_changed(key, None, bound)
    assert free(made) == [7000, 8000] and made.nodes().owned["rs"].tolist() == [1, 0]
    made.pod_changed(key, bound, pod("p", on="a", phase="Running"))
    assert free(made) == [7000, 8000]
    made.pod_changed(key, bound, done)
    assert free(made) == [8000, 8000] and made.nodes().owned == {}
    made.pod_changed(key, done, None)
    assert free(made) == [8000, 8000]


def test_an_assumed_pod_is_counted_once_and_survives_events_before_its_binding():
    made = cluster()
    waiting, bound = pod("p"), pod("p", on="a")
    made.assume(waiting, "a")
    made.pod_changed(key_of(waiting), waiting, pod("p", cpu="1"))
    assert free(made) == [7000, 8000] and made.is_assumed(key_of(waiting))
    made.pod_changed(key_of(waiting), waiting, bound)
    assert free(made) == [7000, 8000] and not made.is_assumed(key_of(waiting))
    made.forget(waiting)  # a late failure of a request that had succeeded
    assert free(made) == [7000, 8000]


def test_a_binding_elsewhere_moves_the_assumption():
    made = cluster()
    made.assume(pod("p"), "a")
    made.pod_changed(key_of(pod("p")), pod("p"), pod("p", on="b"))
    assert free(made) == [8000, 7000]


def test_a_pod_that_goes_or_is_replaced_while_it_is_assumed_is_not_counted():
    made = cluster()
    key = key_of(pod("p"))
    for after in (None, pod("p", uid="other")):
        made.assume(pod("p"), "a")
        made.pod_changed(key, pod("p"), after)
        assert free(made) == [8000, 8000] and not made.is_assumed(key)


def test_pods_of_a_node_that_is_not_known_yet_count_once_it_is():
    made = Cluster()
    made.pod_changed(Key("acme", "dev", "p"), None, pod("p", on="a"))
    assert made.nodes().facts == ()
    made.node_changed(Key("", "", "a"), None, node("a"))
    assert made.nodes().free[0].tolist() == [7000]


def test_room_is_announced_by_a_node_that_changes_and_a_pod_that_goes_not_by_a_heartbeat():
    rooms = []
    made = cluster(on_room=lambda: rooms.append(1))
    bound = pod("p", on="a")
    made.pod_changed(key_of(bound), None, bound)
    rooms.clear()
    made.node_changed(Key("", "", "a"), node("a"), node("a"))
    made.pod_changed(key_of(bound), bound, pod("p", on="a", phase="Running"))
    assert rooms == []
    made.node_changed(Key("", "", "a"), node("a"), node("a", unschedulable=True))
    made.pod_changed(key_of(bound), bound, None)
    assert len(rooms) == 2


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["assume", "bind", "forget", "finish", "delete"]),
        st.sampled_from(["p", "q", "r"]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_after_any_order_of_events_the_columns_equal_a_fresh_count(steps):
    made = cluster()
    stored: dict[str, Pod] = {}
    for action, name, where in steps:
        before = stored.get(name)
        key = Key("acme", "dev", name)
        match action:
            case "assume" if before is None or not before.spec.node_name:
                if not made.is_assumed(key):
                    made.assume(pod(name), where)
                continue
            case "forget":
                made.forget(pod(name))
                continue
            case "bind" if before is None or not before.spec.node_name:
                after = pod(name, on=where)
            case "finish" if before is not None and before.spec.node_name:
                after = pod(name, on=before.spec.node_name, phase="Failed")
            case "delete":
                after = None
            case _:
                continue
        made.pod_changed(key, before, after)
        stored.pop(name, None)
        if after is not None:
            stored[name] = after
    for name in ("p", "q", "r"):
        made.forget(pod(name))
    fresh = cluster()
    for name, each in stored.items():
        fresh.pod_changed(Key("acme", "dev", name), None, each)
    assert free(made) == free(fresh)
    assert {k: v.tolist() for k, v in made.nodes().owned.items()} == {
        k: v.tolist() for k, v in fresh.nodes().owned.items()
    }
