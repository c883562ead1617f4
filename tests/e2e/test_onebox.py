"""The onebox as a user has it: up, the demo, a day with kubectl, a bad day, down."""

from __future__ import annotations

import os
import signal
import subprocess
import threading

import pytest

from cloud import ROOT, Cloud, cloud, remains, shim_sockets, until

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(600)]


def test_a_second_up_finds_the_first_and_changes_nothing(onebox: Cloud):
    before = {c["name"]: c["pid"] for c in onebox.status()["components"]}
    onebox.up()
    assert {c["name"]: c["pid"] for c in onebox.status()["components"]} == before


def test_the_nodes_are_ready_and_status_says_so(onebox: Cloud):
    assert [node["ready"] for node in onebox.status()["nodes"]] == ["True", "True"]
    assert {c["state"] for c in onebox.status()["components"]} == {"Ready"}


def test_the_hello_example_runs_scales_and_answers(onebox: Cloud):
    onebox.kubectl("apply", "-f", str(ROOT / "examples" / "hello"))
    onebox.kubectl("rollout", "status", "deployment/hello", "--timeout=60s")
    pods = onebox.get("pods", "-l", "app=hello")["items"]
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2
    answer = onebox.kubectl("exec", "deployment/hello", "--", "wget", "-qO-", "http://127.0.0.1/")
    assert "Hello from Ursa Major." in answer
    onebox.kubectl("scale", "deployment/hello", "--replicas=4")
    onebox.kubectl("rollout", "status", "deployment/hello", "--timeout=60s")
    assert "response:200" in onebox.kubectl("logs", "-l", "app=hello", "--tail=-1")
    onebox.kubectl("delete", "-f", str(ROOT / "examples" / "hello"), "--timeout=60s")
    until(lambda: not onebox.get("pods", "-l", "app=hello")["items"])


def test_the_demo_is_true(onebox: Cloud):
    done = onebox.ursa("demo", check=False)
    assert done.returncode == 0, done.stdout + done.stderr + onebox.logs()
    assert "all true" in done.stderr


def test_killing_each_process_in_turn_does_not_change_the_demos_outcome(onebox: Cloud):
    """Also each containerd and one QEMU, which restarts by its pod's policy."""
    over = threading.Event()
    killed: list[str] = []
    killer = threading.Thread(target=kill_in_turn, args=(onebox, over, killed))
    killer.start()
    try:
        done = onebox.ursa("demo", check=False)
    finally:
        over.set()
        killer.join()
    assert done.returncode == 0, f"killed {killed}: {done.stdout}{done.stderr}{onebox.logs()}"
    assert "QEMU" in killed and len(killed) > 8, f"the demo was over too soon: killed {killed}"
    until(lambda: {c["state"] for c in onebox.status()["components"]} == {"Ready"})


def kill_in_turn(onebox: Cloud, over: threading.Event, killed: list[str]) -> None:
    """SIGKILL one process after another, each when all are ready again; a QEMU once one runs."""
    names = [part.name for part in onebox.components() if part.name != "supervisor"]
    machine_killed = False
    while names and not over.wait(0.5):
        parts = {part.name: part for part in onebox.components()}
        machines = onebox.machines()
        if machines and not machine_killed:
            os.kill(machines[0], signal.SIGKILL)
            killed.append("QEMU")
            machine_killed = True
        elif all(part.state == "Ready" for part in parts.values()):
            name = names.pop(0)
            pid = parts[name].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            killed.append(name)


def test_a_components_death_is_mended_and_said(onebox: Cloud):
    pods = until(lambda: onebox.get("pods", tenant="acme")["items"])
    starts = {p["metadata"]["name"]: container_ids(p) for p in pods}
    for name in [c["name"] for c in onebox.status()["components"] if c["name"] != "supervisor"]:
        victim = onebox.component(name)
        os.kill(victim["pid"], signal.SIGKILL)
        until(lambda n=name, v=victim: revived(onebox.component(n), v))
    until(lambda: all(n["ready"] == "True" for n in onebox.status()["nodes"] or [{"ready": ""}]))
    pods = until(lambda: onebox.get("pods", tenant="acme")["items"])
    assert {p["metadata"]["name"]: container_ids(p) for p in pods} == starts


def revived(now: dict[str, object], victim: dict[str, object]) -> bool:
    return now["state"] == "Ready" and now["pid"] != victim["pid"]


def container_ids(pod: dict[str, object]) -> list[str]:
    status = pod["status"]
    assert isinstance(status, dict)
    vm = status.get("virtualMachineStatus") or {}
    return [c["containerID"] for c in status.get("containerStatuses", [])] + [
        vm.get("virtualMachineId", "")
    ]


def test_everything_runs_on_without_the_supervisor_and_up_adopts_it(onebox: Cloud):
    before = {c["name"]: c["pid"] for c in onebox.status()["components"]}
    os.kill(before["supervisor"], signal.SIGKILL)
    until(lambda: onebox.component("supervisor")["state"] == "Dead")
    onebox.up()
    after = {c["name"]: c["pid"] for c in onebox.status()["components"]}
    assert after.pop("supervisor") != before.pop("supervisor")
    assert after == before


def test_a_cluster_resumes_with_its_pods_after_down_and_up(onebox: Cloud):
    onebox.ursa("down")
    onebox.up()
    until(lambda: all_running(onebox), timeout_s=90)


def test_a_cluster_resumes_after_the_death_of_everything(onebox: Cloud):
    onebox.kill_everything()
    onebox.up()
    until(lambda: all_running(onebox), timeout_s=90)


def all_running(onebox: Cloud) -> bool:
    pods = onebox.get("pods", tenant="acme")["items"]
    return len(pods) == 4 and all(
        any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in p["status"].get("conditions", [])
        )
        for p in pods
    )


def test_errors_are_one_line_that_says_what_to_do(onebox: Cloud):
    taken = onebox.ursa(
        "up", "--data-dir", "/tmp/ursa-e2e-other", "--port", str(onebox.port), check=False
    )
    assert taken.returncode == 1
    assert taken.stderr.strip().splitlines()[-1] == (
        f"ursa: port {onebox.port} is taken: choose another with --port (it and the next are used)"
    )
    subprocess.run(["rm", "-rf", "/tmp/ursa-e2e-other"], check=True)


def test_two_clusters_run_side_by_side_and_end_apart(onebox: Cloud):
    with cloud("--nodes", "1") as second:
        second.kubectl("run", "alone", "--image=busybox", "--", "sleep", "9999")
        second.kubectl("wait", "--for=condition=Ready", "pod/alone", "--timeout=60s")
        cluster_id = second.cluster_id()
        second.ursa("down", "--purge")
        assert remains(cluster_id, second.data_dir) == []
    assert {c["state"] for c in onebox.status()["components"]} == {"Ready"}
    until(lambda: all_running(onebox))


def test_down_with_purge_leaves_nothing(onebox: Cloud, sockets_before: set[str]):
    cluster_id = onebox.cluster_id()
    onebox.ursa("down", "--purge")
    assert remains(cluster_id, onebox.data_dir) == []
    assert shim_sockets() <= sockets_before
    assert not (onebox.data_dir / "cluster.json").exists()
