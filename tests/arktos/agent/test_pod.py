"""One pod's task on a real containerd."""

from __future__ import annotations

import asyncio
import base64
import os
import signal

import pytest

from agent_node import POD_IP, SLEEP, running_pod, until
from ursa.arktos.agent import cri, mounts, pod
from ursa.base import cgroup
from ursa.onebox import containerd

pytestmark = pytest.mark.root


def sh(script: str, **fields) -> dict:
    return {"name": "main", "image": "busybox", "command": ["sh", "-c", script]} | fields


async def test_a_pod_runs_and_leaves_nothing_behind(containerd_node):
    async with running_pod(containerd_node, containers=[SLEEP]) as side:
        await until(lambda: side.pod().status.ready)
        status = side.pod().status
        assert (status.phase, status.pod_ip, status.qos_class) == ("Running", POD_IP, "BestEffort")
        assert side.main.state.running.started_at
        assert side.main.container_id.startswith("containerd://")
        group = side.host.pod_cgroup(side.task.uid)
        assert cgroup.pids(group)
        side.delete(grace_s=1)
        await until(lambda: "web" not in side.api.documents)
        assert not cgroup.exists(group)
        assert not side.host.pod_dir(side.task.uid).exists()
        assert await side.runtime.pods(side.task.uid) == ([], [])
        assert await until(lambda: "Killing" in side.reasons())
        assert side.reasons()[:3] == ["Pulled", "Created", "Started"]


async def test_a_pod_that_may_not_restart_succeeds_and_keeps_its_message(containerd_node):
    said = sh("echo all is well > /dev/termination-log")
    async with running_pod(containerd_node, containers=[said], restartPolicy="Never") as side:
        await until(lambda: side.pod().status.phase == "Succeeded")
        ended = side.main.state.terminated
        assert (ended.exit_code, ended.reason, ended.message) == (0, "Completed", "all is well\n")
        sandboxes, _ = await until(lambda: _stopped(side))
        assert [s.ready for s in sandboxes] == [False]


async def _stopped(side):
    listed = await side.runtime.pods(side.task.uid)
    return listed if listed[0] and not listed[0][0].ready else None


async def test_a_crashing_container_restarts_at_once_then_backs_off(containerd_node):
    async with running_pod(containerd_node, containers=[sh("echo no >&2; exit 3")]) as side:
        await until(lambda: (w := side.main.state.waiting) and w.reason == "CrashLoopBackOff")
        assert side.main.restart_count == 1
        assert side.main.last_state.terminated.exit_code == 3
        assert not side.pod().status.ready


async def test_the_log_is_the_message_of_a_failure_if_the_pod_asks_for_it(containerd_node):
    fails = sh("echo why it failed; exit 1", terminationMessagePolicy="FallbackToLogsOnError")
    async with running_pod(containerd_node, containers=[fails], restartPolicy="Never") as side:
        await until(lambda: side.pod().status.phase == "Failed")
        assert side.main.state.terminated.message == "why it failed\n"


async def test_a_killed_shim_costs_a_new_sandbox_and_a_restart(containerd_node):
    async with running_pod(containerd_node, containers=[SLEEP]) as side:
        await until(lambda: side.pod().status.ready)
        first = side.task.facts.live.id
        shims = containerd.shims(containerd_node.node)
        os.kill(next(pid for pid, sandbox in shims.items() if sandbox == first), signal.SIGKILL)
        await until(lambda: side.task.facts.live and side.task.facts.live.id != first)
        await until(lambda: side.pod().status.ready)
        assert side.main.restart_count >= 1


async def test_init_containers_run_before_and_sidecars_beside(containerd_node):
    volume = {"name": "shared", "emptyDir": {}}
    at = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    init = sh("echo from init > /shared/file", name="init", **at)
    side_car = sh("sleep 1000", name="side", restartPolicy="Always")
    spec = {"initContainers": [init, side_car], "containers": [SLEEP | at], "volumes": [volume]}
    async with running_pod(containerd_node, **spec) as side:
        await until(lambda: side.pod().status.ready)
        assert await side.run_in("cat", "/shared/file") == "from init\n"
        inits = {s.name: s for s in side.pod().status.init_container_statuses}
        assert inits["init"].state.terminated.reason == "Completed"
        assert inits["side"].state.running
        conditions = {c.type: c.status for c in side.pod().status.conditions}
        assert conditions["Initialized"] == conditions["ContainersReady"] == "True"


async def test_the_environment_comes_from_everywhere(containerd_node):
    objects = {
        "configmaps": {"settings": {"data": {"COLOUR": "blue"}}},
        "secrets": {"keys": {"data": {"token": base64.b64encode(b"s3cret").decode()}}},
    }
    env = [
        {"name": "PLAIN", "value": "a"},
        {"name": "EXPANDED", "value": "$(PLAIN)-$(COLOUR)-$(NONE)-$$(PLAIN)"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "TENANT", "valueFrom": {"fieldRef": {"fieldPath": "metadata.tenant"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ]
    container = SLEEP | {"env": env, "envFrom": [{"configMapRef": {"name": "settings"}}]}
    async with running_pod(containerd_node, objects, containers=[container]) as side:
        await until(lambda: side.pod().status.ready)
        printed = await side.run_in("env")
        lines = dict(line.split("=", 1) for line in printed.splitlines())
        assert lines["EXPANDED"] == "a-blue-$(NONE)-$(PLAIN)"
        assert (lines["TOKEN"], lines["TENANT"], lines["IP"]) == ("s3cret", "acme", POD_IP)
        assert lines["CPU"] == "2"
        assert POD_IP in await side.run_in("cat", "/etc/hosts")
        assert await side.run_in("hostname") == "web\n"


async def test_a_missing_config_map_holds_the_container_and_says_so(containerd_node):
    source = {"configMapKeyRef": {"name": "late", "key": "k"}}
    container = SLEEP | {"env": [{"name": "V", "valueFrom": source}]}
    async with running_pod(containerd_node, containers=[container]) as side:
        await until(lambda: (w := side.main.state.waiting) and w.reason.endswith("ConfigError"))
        assert side.main.state.waiting.message == 'configmap "late" not found'
        side.apis.of["configmaps"].put("late", data={"k": "v"})
        await until(lambda: side.pod().status.ready)


async def test_configuration_volumes_show_and_follow_their_objects(containerd_node, monkeypatch):
    monkeypatch.setattr(pod, "REFRESH_S", 0.2)
    objects = {
        "configmaps": {"page": {"data": {"index.html": "one"}}},
        "secrets": {"keys": {"data": {"token": base64.b64encode(b"s3cret").decode()}}},
    }
    labels = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    sources = [{"secret": {"name": "keys"}}, {"downwardAPI": {"items": [labels]}}]
    volumes = [
        {"name": "page", "configMap": {"name": "page", "defaultMode": 0o444}},
        {"name": "all", "projected": {"sources": sources}},
    ]
    at = [{"name": "page", "mountPath": "/page"}, {"name": "all", "mountPath": "/all"}]
    at.append({"name": "page", "mountPath": "/one.html", "subPath": "index.html"})
    spec = {"containers": [SLEEP | {"volumeMounts": at}], "volumes": volumes}
    async with running_pod(containerd_node, objects, labels={"app": "web"}, **spec) as side:
        await until(lambda: side.pod().status.ready)
        assert await side.run_in("cat", "/page/index.html", "/one.html") == "oneone"
        assert await side.run_in("cat", "/all/token", "/all/labels") == 's3cretapp="web"'
        side.apis.of["configmaps"].put("page", data={"other.html": "two"})
        await until(lambda: _shows(side, "/page", "other.html\n"))
        assert await side.run_in("cat", "/page/other.html") == "two"


async def _shows(side, folder: str, listing: str) -> bool:
    return await side.run_in("ls", folder) == listing


async def test_memory_volumes_are_tmpfs_and_go_with_the_pod(containerd_node):
    volume = {"name": "fast", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    at = {"volumeMounts": [{"name": "fast", "mountPath": "/fast"}]}
    async with running_pod(containerd_node, containers=[SLEEP | at], volumes=[volume]) as side:
        await until(lambda: side.pod().status.ready)
        assert "1.0M" in await side.run_in("df", "-h", "/fast")
        folder = side.host.pod_dir(side.task.uid)
        assert mounts.below(folder)
        side.delete(grace_s=0)
        await until(lambda: "web" not in side.api.documents)
        assert not mounts.below(folder)


async def test_a_sub_path_that_leads_out_of_its_volume_is_refused(containerd_node):
    volume = {"name": "v", "emptyDir": {}}
    into = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    out = {"volumeMounts": [{"name": "v", "mountPath": "/etc/x", "subPath": "link"}]}
    init = sh("ln -s /etc /v/link", name="init", **into)
    spec = {"initContainers": [init], "containers": [SLEEP | out], "volumes": [volume]}
    async with running_pod(containerd_node, **spec) as side:
        await until(lambda: (w := side.main.state.waiting) and w.reason.endswith("ConfigError"))
        assert 'subPath "link"' in side.main.state.waiting.message


async def test_limits_reach_the_cgroups_of_container_and_pod(containerd_node):
    amounts = {"limits": {"cpu": "500m", "memory": "64Mi"}}
    async with running_pod(containerd_node, containers=[SLEEP | {"resources": amounts}]) as side:
        await until(lambda: side.pod().status.ready)
        assert side.pod().status.qos_class == "Guaranteed"
        held = side.task.facts.newest("main")
        group = side.host.pod_cgroup(side.task.uid)
        for path in (group, f"{group}/{held.id}"):
            memory = cgroup.controller("memory") / path.lstrip("/")
            cpu = cgroup.controller("cpu") / path.lstrip("/")
            if cgroup.is_v2():
                assert (cpu / "cpu.max").read_text() == "50000 100000\n"
                assert (memory / "memory.max").read_text() == f"{64 << 20}\n"
            else:
                assert (cpu / "cpu.cfs_quota_us").read_text() == "50000\n"
                assert (memory / "memory.limit_in_bytes").read_text() == f"{64 << 20}\n"


async def test_a_quota_above_the_nodes_is_clamped_instead_of_refused(containerd_node):
    node_group = f"{containerd_node.node.cgroup}/pods"
    file = (
        cgroup.controller("cpu")
        / node_group.lstrip("/")
        / ("cpu.max" if cgroup.is_v2() else "cpu.cfs_quota_us")
    )
    file.write_text("100000")
    try:
        greedy = SLEEP | {"resources": {"limits": {"cpu": "8"}}}
        async with running_pod(containerd_node, containers=[greedy]) as side:
            await until(lambda: side.pod().status.ready)
    finally:
        file.write_text("max" if cgroup.is_v2() else "-1")


async def test_probes_ask_inside_the_pods_own_network(containerd_node):
    """Also on an address that this host does not have, as tenants' overlap."""
    serve = sh("mkdir /www; echo hi > /www/ok; httpd -f -p 8080 -h /www")
    ready = {"httpGet": {"port": 8080, "path": "/ok"}, "periodSeconds": 1}
    alive = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    started = {"exec": {"command": ["test", "-f", "/www/ok"]}, "periodSeconds": 1}
    probes = {"readinessProbe": ready, "livenessProbe": alive, "startupProbe": started}
    async with running_pod(containerd_node, containers=[serve | probes]) as side:
        await until(lambda: side.pod().status.ready)
        assert side.main.started
        await side.run_in("rm", "/www/ok")
        await until(lambda: not side.pod().status.ready)
        assert "Unhealthy" in side.reasons()
        assert side.main.restart_count == 0


async def test_a_failed_liveness_probe_restarts_the_container(containerd_node):
    script = "trap 'exit 0' TERM; touch /alive; sleep 1; rm /alive; while true; do sleep 0.1; done"
    probe = {
        "exec": {"command": ["cat", "/alive"]},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }
    async with running_pod(containerd_node, containers=[sh(script, livenessProbe=probe)]) as side:
        await until(lambda: side.main.restart_count >= 1)
        assert {"Unhealthy", "Killing"} <= set(side.reasons())


async def test_hooks_run_after_the_start_and_before_the_stop(containerd_node, tmp_path):
    volume = {"name": "out", "hostPath": {"path": str(tmp_path), "type": "Directory"}}
    lifecycle = {
        "postStart": {"exec": {"command": ["touch", "/out/started"]}},
        "preStop": {"exec": {"command": ["touch", "/out/stopped"]}},
    }
    at = {"volumeMounts": [{"name": "out", "mountPath": "/out"}], "lifecycle": lifecycle}
    async with running_pod(containerd_node, containers=[SLEEP | at], volumes=[volume]) as side:
        await until((tmp_path / "started").exists)
        await until(lambda: side.pod().status.ready)
        side.delete(grace_s=5)
        await until(lambda: "web" not in side.api.documents)
        assert sorted(os.listdir(tmp_path)) == ["started", "stopped"]


async def test_the_security_context_is_enforced(containerd_node):
    context = {"runAsUser": 1234, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    spec = {"containers": [SLEEP | {"securityContext": context}]}
    async with running_pod(containerd_node, **spec) as side:
        await until(lambda: side.pod().status.ready)
        assert await side.run_in("id", "-u") == "1234\n"
        script = "touch /x 2>&1; grep -E '^(CapEff|Seccomp):' /proc/self/status"
        printed = await side.run_in("sh", "-c", script)
        assert "Read-only file system" in printed
        assert printed.splitlines()[1:] == ["CapEff:\t0000000000000000", "Seccomp:\t2"]


async def test_an_image_that_is_nowhere_is_said_so_and_tried_again_later(containerd_node):
    container = SLEEP | {"image": "127.0.0.1:1/none:1"}
    async with running_pod(containerd_node, containers=[container]) as side:
        await until(lambda: (w := side.main.state.waiting) and w.reason == "ErrImagePull")
        assert "127.0.0.1:1/none:1" in side.main.state.waiting.message
        await until(lambda: side.main.state.waiting.reason == "ImagePullBackOff")
        side.delete()
        await until(lambda: "web" not in side.api.documents)


async def test_policy_always_takes_an_image_that_was_made_here(containerd_node):
    """No registry is asked for what came from none: the start would wait for its time-out."""
    container = SLEEP | {"imagePullPolicy": "Always"}
    async with running_pod(containerd_node, containers=[container]) as side:
        await until(lambda: side.pod().status.ready)
        assert "Pulling" not in side.reasons()


async def test_policy_never_refuses_an_image_that_is_not_there(containerd_node):
    container = SLEEP | {"image": "none:1", "imagePullPolicy": "Never"}
    async with running_pod(containerd_node, containers=[container]) as side:
        await until(lambda: (w := side.main.state.waiting) and w.reason == "ErrImageNeverPull")


async def test_a_command_that_is_not_there_is_said_so(containerd_node):
    container = {"name": "main", "image": "busybox", "command": ["/none"]}
    async with running_pod(containerd_node, containers=[container]) as side:
        await until(lambda: (t := side.main.last_state.terminated) and t.exit_code == 128)
        assert "/none" in side.main.last_state.terminated.message


async def test_a_container_out_of_memory_says_so(containerd_node):
    hog = sh("head -c 100m /dev/zero | tail", resources={"limits": {"memory": "16Mi"}})
    async with running_pod(containerd_node, containers=[hog], restartPolicy="Never") as side:
        await until(lambda: side.pod().status.phase == "Failed")
        assert side.main.state.terminated.reason == "OOMKilled"


async def test_a_shorter_grace_period_takes_effect_at_once(containerd_node):
    stubborn = sh("trap '' TERM; while true; do sleep 1; done")
    async with running_pod(containerd_node, containers=[stubborn]) as side:
        await until(lambda: side.pod().status.ready)
        side.delete(grace_s=600)
        await until(lambda: "Killing" in side.reasons())
        side.delete(grace_s=0)
        await until(lambda: "web" not in side.api.documents, timeout_s=10)


async def test_containerd_killed_and_back_disturbs_no_container(containerd_node):
    async with running_pod(containerd_node, containers=[SLEEP]) as side:
        await until(lambda: side.pod().status.ready)
        before = side.task.facts.newest("main")
        containerd_node.kill()
        await asyncio.sleep(0.3)
        await asyncio.to_thread(containerd_node.start)
        await until(lambda: _answers(side.runtime))
        await side.run_in("true")
        assert side.task.facts.newest("main") == before
        assert side.pod().status.ready


async def _answers(runtime) -> bool:
    try:
        return not await runtime.faults()
    except cri.RuntimeUnavailable:
        return False
