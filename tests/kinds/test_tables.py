import pytest

from documents import BY_KIND, CONTAINER, deployment, merged, named, pod, service, stored, vm_pod
from ursa.kinds.ages import age, human_duration
from ursa.kinds.cells import CELLS
from ursa.kinds.registry import RESOURCES
from ursa.kinds.tables import table

NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z
FIVE_MINUTES_AGO = "2025-12-31T23:55:00Z"


def row(kind, doc, *, wide=False, **options):
    """Return {column: cell} of one object."""
    made = table(BY_KIND[kind], [doc], NOW_S, **options)
    columns = made["columnDefinitions"]
    (only,) = made["rows"]
    pairs = zip(columns, only["cells"], strict=True)
    return {column["name"]: cell for column, cell in pairs if wide or column["priority"] == 0}


def with_status(doc, status, **metadata):
    return merged(stored("Pod", doc), {"status": status, "metadata": metadata})


def container_status(name="c", **fields):
    return {"name": name, "ready": False, "restartCount": 0, **fields}


RUNNING = {"running": {"startedAt": FIVE_MINUTES_AGO}}


def ended(code=0, **fields):
    return {"terminated": {"exitCode": code, "finishedAt": FIVE_MINUTES_AGO, **fields}}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-0.5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (599, "9m59s"),
        (3599, "59m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (12_660, "3h31m"),
        (86_400, "24h"),
        (2 * 86_400, "2d"),
        (2 * 86_400 + 3600, "2d1h"),
        (9 * 86_400, "9d"),
        (800 * 86_400, "2y70d"),
        (3000 * 86_400, "8y"),
    ],
)
def test_a_duration_is_written_as_kubectl_writes_it(seconds, text):
    assert human_duration(seconds) == text


def test_the_age_of_nothing_is_unknown():
    assert age(None, NOW_S) == "<unknown>"


@pytest.mark.parametrize(
    ("status", "ready", "reason", "restarts"),
    [
        ({}, "0/1", "Pending", "0"),
        ({"reason": "Evicted", "phase": "Failed"}, "0/1", "Evicted", "0"),
        (
            {
                "containerStatuses": [
                    container_status(state={"waiting": {"reason": "ImagePullBackOff"}})
                ]
            },
            "0/1",
            "ImagePullBackOff",
            "0",
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [container_status(ready=True, state=RUNNING)],
            },
            "1/1",
            "Running",
            "0",
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    container_status(
                        restartCount=3,
                        state={"waiting": {"reason": "CrashLoopBackOff"}},
                        lastState=ended(1, reason="Error"),
                    )
                ],
            },
            "0/1",
            "CrashLoopBackOff",
            "3 (5m ago)",
        ),
        (
            {
                "phase": "Succeeded",
                "containerStatuses": [container_status(state=ended(reason="Completed"))],
            },
            "0/1",
            "Completed",
            "0",
        ),
        (
            {
                "phase": "Failed",
                "containerStatuses": [container_status(state=ended(2, reason="Error"))],
            },
            "0/1",
            "Error",
            "0",
        ),
        ({"containerStatuses": [container_status(state=ended(3))]}, "0/1", "ExitCode:3", "0"),
        (
            {"containerStatuses": [container_status(state=ended(1, signal=9))]},
            "0/1",
            "Signal:9",
            "0",
        ),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
                ]
            },
            "0/1",
            "SchedulingGated",
            "0",
        ),
    ],
)
def test_the_row_of_a_pod_says_what_it_does(status, ready, reason, restarts):
    cells = row("Pod", with_status(pod(), status))
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == (ready, reason, restarts)


INITS = [{"name": "i0", "image": "x"}, {"name": "i1", "image": "x"}]


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([{"waiting": {"reason": "PodInitializing"}}, {}], "Init:0/2"),
        ([ended(0), RUNNING], "Init:1/2"),
        ([ended(1, reason="Error"), {}], "Init:Error"),
        ([ended(4), {}], "Init:ExitCode:4"),
        ([{"waiting": {"reason": "CrashLoopBackOff"}}, {}], "Init:CrashLoopBackOff"),
        ([ended(0), ended(0)], "Pending"),
    ],
)
def test_init_containers_show_how_far_they_are(states, reason):
    statuses = [container_status(f"i{i}", state=state) for i, state in enumerate(states)]
    doc = with_status(pod(initContainers=INITS), {"initContainerStatuses": statuses})
    assert row("Pod", doc)["Status"] == reason


def test_a_sidecar_counts_as_a_container():
    sidecar = {"name": "i0", "image": "x", "restartPolicy": "Always"}
    status = {
        "phase": "Running",
        "initContainerStatuses": [container_status("i0", started=True, ready=True, state=RUNNING)],
        "containerStatuses": [container_status(ready=True, state=RUNNING)],
    }
    cells = row("Pod", with_status(pod(initContainers=[sidecar]), status))
    assert (cells["Ready"], cells["Status"]) == ("2/2", "Running")


@pytest.mark.parametrize(
    ("phase", "reason", "shown"),
    [
        ("Running", None, "Terminating"),
        ("Succeeded", None, "Succeeded"),
        ("Running", "NodeLost", "Unknown"),
    ],
)
def test_a_deleted_pod_is_terminating_until_it_has_ended(phase, reason, shown):
    doc = with_status(pod(), {"phase": phase, "reason": reason}, deletionTimestamp=FIVE_MINUTES_AGO)
    assert row("Pod", doc)["Status"] == shown


def test_one_container_of_two_has_completed():
    statuses = [
        container_status("c", state=ended(reason="Completed")),
        container_status("d", ready=True, state=RUNNING),
    ]
    two = pod(containers=[CONTAINER, CONTAINER | {"name": "d"}])
    doc = with_status(two, {"phase": "Running", "containerStatuses": statuses})
    assert row("Pod", doc)["Status"] == "NotReady"


def test_a_machine_is_ready_by_its_own_status():
    machine = {"name": "vm", "ready": True, "restartCount": 2}
    doc = with_status(vm_pod(), {"phase": "Running", "virtualMachineStatus": machine})
    cells = row("Pod", doc)
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == ("1/1", "Running", "2")


def test_the_wide_row_of_a_pod_has_address_and_node():
    doc = with_status(pod(nodeName="node-1"), {"podIPs": [{"ip": "10.0.0.5"}]})
    cells = row("Pod", doc, wide=True)
    assert (cells["IP"], cells["Node"], cells["Nominated Node"]) == ("10.0.0.5", "node-1", "<none>")
    assert list(row("Pod", doc)) == ["Name", "Ready", "Status", "Restarts", "Age"]


def test_rows_over_all_tenants_begin_with_the_tenant():
    cells = row("Pod", stored("Pod", pod()), all_tenants=True)
    assert next(iter(cells.items())) == ("Tenant", "acme")


@pytest.mark.parametrize(
    ("include", "kind"),
    [("None", None), ("Metadata", "PartialObjectMetadata"), ("Object", "Pod")],
)
def test_a_row_carries_as_much_of_its_object_as_asked(include, kind):
    doc = stored("Pod", pod())
    (only,) = table(BY_KIND["Pod"], [doc], NOW_S, include)["rows"]
    assert only.get("object", {}).get("kind") == kind
    assert ("spec" in only.get("object", {})) == (include == "Object")


def test_a_completed_pod_s_row_has_a_condition():
    doc = with_status(pod(), {"phase": "Succeeded"})
    (only,) = table(BY_KIND["Pod"], [doc], NOW_S)["rows"]
    assert only["conditions"][0]["reason"] == "Succeeded"


def test_a_node_shows_roles_and_whether_it_takes_pods():
    labels = {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    doc = named("n", spec={"unschedulable": True}, status=ready)
    doc["metadata"]["labels"] = labels
    cells = row("Node", doc)
    assert cells["Status"] == "Ready,SchedulingDisabled"
    assert cells["Roles"] == "control-plane,edge"
    assert row("Node", named("n"))["Status"] == "Unknown"


def test_a_deployment_shows_replicas_and_templates():
    status = {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}
    doc = merged(stored("Deployment", deployment(replicas=3)), {"status": status})
    cells = row("Deployment", doc, wide=True)
    assert (cells["Ready"], cells["Up-to-date"], cells["Available"]) == ("1/3", 2, 1)
    assert (cells["Containers"], cells["Images"]) == ("c", "busybox")
    assert cells["Selector"] == "app=web"


@pytest.mark.parametrize(
    ("spec", "cluster_ip", "external_ip", "ports"),
    [
        ({"clusterIP": "10.96.0.7"}, "10.96.0.7", "<none>", "80/TCP"),
        ({"type": "LoadBalancer"}, "<none>", "<pending>", "80/TCP"),
        ({"type": "ExternalName", "externalName": "a.b", "ports": []}, "<none>", "a.b", "<none>"),
        (
            {
                "type": "NodePort",
                "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}],
            },
            "<none>",
            "<none>",
            "80:30080/TCP,53/UDP",
        ),
    ],
)
def test_a_service_shows_addresses_and_ports(spec, cluster_ip, external_ip, ports):
    cells = row("Service", stored("Service", service(**spec)))
    shown = (cells["Cluster-IP"], cells["External-IP"], cells["Port(s)"])
    assert shown == (cluster_ip, external_ip, ports)


def test_an_event_shows_what_happened_to_whom():
    doc = named(
        involvedObject={"kind": "Pod", "name": "web"},
        lastTimestamp=FIVE_MINUTES_AGO,
        type="Warning",
        reason="BackOff",
        message="restarting\n",
        source={"component": "agent", "host": "node-1"},
    )
    cells = row("Event", doc, wide=True)
    assert (cells["Last Seen"], cells["Object"], cells["Message"]) == (
        "5m",
        "pod/web",
        "restarting",
    )
    assert (cells["Source"], cells["Count"]) == ("agent, node-1", 1)


@pytest.mark.parametrize(
    ("kind", "doc", "expected"),
    [
        (
            "ConfigMap",
            named(data={"a": ""}, binaryData={"b": ""}),
            {"Name": "x", "Data": 2, "Age": "<unknown>"},
        ),
        (
            "Secret",
            named(type="Opaque", data={"a": ""}),
            {"Name": "x", "Type": "Opaque", "Data": 1, "Age": "<unknown>"},
        ),
        ("Role", named(), {"Name": "x", "Created At": None}),
        (
            "RoleBinding",
            named(roleRef={"kind": "Role", "name": "r"}),
            {"Name": "x", "Role": "Role/r", "Age": "<unknown>"},
        ),
        (
            "Tenant",
            named(status={"phase": "Active"}),
            {"Name": "x", "Status": "Active", "Age": "<unknown>"},
        ),
        (
            "Vpc",
            named(spec={"cidr": "10.0.0.0/16"}, status={"vni": 7, "phase": "Ready"}),
            {"Name": "x", "CIDR": "10.0.0.0/16", "VNI": 7, "Status": "Ready", "Age": "<unknown>"},
        ),
        (
            "Endpoints",
            named(
                subsets=[
                    {
                        "addresses": [{"ip": f"10.0.0.{i}"} for i in range(5)],
                        "ports": [{"port": 80}],
                    }
                ]
            ),
            {
                "Name": "x",
                "Endpoints": "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more...",
                "Age": "<unknown>",
            },
        ),
    ],
)
def test_other_kinds_have_their_columns(kind, doc, expected):
    assert row(kind, doc) == expected


def test_every_column_is_a_path_or_a_cell_function_and_every_function_has_a_column():
    values = {column.value for resource in RESOURCES for column in resource.columns}
    functions = {value for value in values if not value.startswith(".")}
    assert functions == CELLS.keys()


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_an_object_with_nothing_but_a_name_can_be_shown(resource):
    (only,) = table(resource, [named()], NOW_S)["rows"]
    assert all(cell is None or isinstance(cell, str | int | bool) for cell in only["cells"])
