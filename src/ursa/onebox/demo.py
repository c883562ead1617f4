"""Two tenants with the same CIDR run containers and a VM on both nodes.

    prepare   tenants, a Deployment of three web servers each, a VM each that serves and asks
    places    where everything runs
    checks    by real traffic: who reaches whom inside a tenant, that nothing passes between
              tenants, and that of a deleted tenant nothing is left

Everything goes through a real kubectl, as a user would do it. A web server answers with its
tenant's name, so an answer tells whose it is even where both tenants use one address.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ursa.base import cgroup
from ursa.onebox import demo_objects as objects
from ursa.onebox import identities, tools
from ursa.onebox.errors import UserError
from ursa.onebox.kubectl import Kubectl
from ursa.onebox.layout import Cluster, write_atomic

TENANTS = ("acme", "beta")
WAIT = "45s"  # for pods; a loaded machine boots a VM under emulation in 10 s
POLL_S = 0.1
ASKS_S = 40.0
FOREIGN = "10.0.200.200"  # only tenant beta has it


class Check(NamedTuple):
    claim: str
    holds: bool
    detail: str


class Place(NamedTuple):
    tenant: str
    name: str
    kind: str
    node: str
    address: str


class Demo:
    def __init__(self, cluster: Cluster, admin: Path, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._say = say
        self._admin = Kubectl(tools.kubectl(), admin)
        self._as: dict[str, Kubectl] = {}

    def prepare(self) -> None:
        """Make the tenants and everything in them; return when it runs."""
        self._remove_earlier()
        for tenant in TENANTS:
            self._admin.run("apply", "-f", "-", stdin=json.dumps(objects.tenant_object(tenant)))
        for tenant in TENANTS:
            self._admin.run(
                "wait", "--for=condition=Ready", f"tenant/{tenant}", f"--timeout={WAIT}"
            )
            self._as[tenant] = self._user(tenant)
            self._as[tenant].run("apply", "-f", "-", stdin=json.dumps(objects.deployment(tenant)))
        nics = [{"name": "eth0", "ipAddress": FOREIGN}]
        foreign = objects.pod("foreign", objects.web("beta"), nics=nics)
        self._as["beta"].run("apply", "-f", "-", stdin=json.dumps(foreign))
        self._say("tenants are ready; waiting for containers")
        for tenant in TENANTS:
            user = self._as[tenant]
            user.run("rollout", "status", "deployment/web", f"--timeout={WAIT}")
            addresses = [
                pod["status"]["podIP"] for pod in self._pods(tenant) if "app" in _labels(pod)
            ]
            user.run("apply", "-f", "-", stdin=json.dumps(objects.vm(tenant, addresses)))
        self._as["beta"].run("wait", "--for=condition=Ready", "pod/foreign", f"--timeout={WAIT}")
        self._say("containers run; waiting for the VMs")
        for tenant in TENANTS:
            self._as[tenant].run("wait", "--for=condition=Ready", "pod/vm", f"--timeout={WAIT}")

    def places(self) -> list[Place]:
        return [
            Place(
                tenant,
                pod["metadata"]["name"],
                "vm" if "virtualMachine" in pod["spec"] else "container",
                pod["spec"]["nodeName"],
                pod["status"]["podIP"],
            )
            for tenant in TENANTS
            for pod in self._pods(tenant)
        ]

    def checks(self) -> list[Check]:
        """Return every claim with whether it holds; each is told as it is found."""
        found = []
        for check in self._claims():
            self._say(f"  {'yes' if check.holds else 'NO ':<3} {check.claim}{check.detail}")
            found.append(check)
        return found

    def _claims(self) -> Iterator[Check]:
        places = self.places()
        yield self._spread(places)
        yield from self._vm_asks()  # first: a VM that has asked has booted and serves
        for tenant in TENANTS:
            yield from self._inside(tenant, places)
        yield self._nothing_passes(places)
        yield from self._nothing_left("beta")

    def _spread(self, places: list[Place]) -> Check:
        nodes = {tenant: {p.node for p in places if p.tenant == tenant} for tenant in TENANTS}
        holds = all(len(used) >= min(2, self._cluster.node_count) for used in nodes.values())
        return Check("each tenant's pods run on several nodes", holds, "")

    def _inside(self, tenant: str, places: list[Place]) -> Iterator[Check]:
        own = [place for place in places if place.tenant == tenant and place.name != "foreign"]
        expected = _expected(tenant, [place.address for place in own])
        for place in own:
            if place.kind == "container":
                wrong = self._unheard(tenant, place.name, expected, own)
                claim = f"{tenant}: {place.name} on {place.node} reaches containers and VM"
                yield Check(f"{claim} (ICMP, HTTP)", not wrong, f": not {wrong}" if wrong else "")

    def _unheard(self, tenant: str, pod: str, expected: list[str], own: list[Place]) -> list[str]:
        """Return what a pod does not hear, asking again for ASKS_S: a VM may be booting anew."""
        deadline = time.monotonic() + ASKS_S
        while True:
            heard = self._ask(tenant, pod, [place.address for place in own])
            wrong = [line for line in expected if line not in heard]
            if not wrong or time.monotonic() > deadline:
                return wrong
            time.sleep(POLL_S)

    def _ask(self, tenant: str, pod: str, addresses: list[str]) -> list[str]:
        """Return what a pod hears: lines `ping ADDRESS ok` and `http ADDRESS TENANT`."""
        script = objects.asking(addresses)
        done = self._as[tenant].try_run("exec", pod, "--", "sh", "-c", script)
        return done.stdout.splitlines() + done.stderr.splitlines()

    def _vm_asks(self) -> Iterator[Check]:
        for tenant in TENANTS:
            web = [p["status"]["podIP"] for p in self._pods(tenant) if "app" in _labels(p)]
            expected = _expected(tenant, web)
            heard = self._console(tenant, expected)
            wrong = [line for line in expected if line not in heard]
            yield Check(f"{tenant}: the VM reaches its containers (ICMP, HTTP)", not wrong, "")

    def _console(self, tenant: str, expected: list[str]) -> str:
        """Return the VM's console once it says all that is expected, or after ASKS_S."""
        deadline = time.monotonic() + ASKS_S
        while True:
            console = self._as[tenant].try_run("logs", "vm").stdout
            if all(line in console for line in expected) or time.monotonic() > deadline:
                return console
            time.sleep(POLL_S)

    def _nothing_passes(self, places: list[Place]) -> Check:
        """From tenant acme, beta's own address is silent and shared ones answer as acme."""
        pod = next(p.name for p in places if p.tenant == "acme" and p.kind == "container")
        addresses = sorted({p.address for p in places if p.tenant == "beta"})
        heard = self._ask("acme", pod, addresses)
        answers = [line.split()[2:] for line in heard if line.startswith("http")]
        foreign = {f"ping {FOREIGN} no", f"http {FOREIGN} "} <= set(heard)
        holds = foreign and ["beta"] not in answers and len(answers) == len(addresses)
        return Check("between the tenants nothing passes", holds, "" if holds else f": {heard}")

    def _nothing_left(self, tenant: str) -> Iterator[Check]:
        """Delete a tenant; look where something of it could be left."""
        pods = self._pods(tenant)
        self._admin.run("delete", "tenant", tenant, "--wait=true", f"--timeout={WAIT}")
        kinds = ("pods", "ports", "vpcs", "namespaces", "events", "secrets", "configmaps")
        left = [kind for kind in kinds if self._raw_items(tenant, kind)]
        yield Check(
            f"{tenant} is deleted and has no object left", not left, f": {left}" if left else ""
        )
        groups = [uid for uid in (p["metadata"]["uid"] for p in pods) if self._on_nodes(uid)]
        yield Check(f"no process, cgroup or file of {tenant} is left", not groups, "")
        others = all(self._pods(other) for other in TENANTS if other != tenant)
        yield Check("the other tenant runs on", others, "")

    def _raw_items(self, tenant: str, kind: str) -> list[Any]:
        group = "/apis/network.ursa.dev/v1" if kind in ("ports", "vpcs") else "/api/v1"
        answer = self._admin.run("get", "--raw", f"{group}/tenants/{tenant}/{kind}")
        items: list[Any] = json.loads(answer)["items"]
        return items

    def _on_nodes(self, uid: str) -> bool:
        """Whether a node still has the pod's folder or cgroup; removal may be a moment behind."""
        deadline = time.monotonic() + 5.0
        while any(
            (node.dir / "pods" / uid).exists() or cgroup.exists(f"{node.cgroup}/pods/{uid}")
            for node in self._cluster.nodes
        ):
            if time.monotonic() > deadline:
                return True
            time.sleep(POLL_S)
        return False

    def _remove_earlier(self) -> None:
        for tenant in TENANTS:
            found = self._admin.try_run("get", "tenant", tenant, "-o", "json")
            if found.returncode != 0:
                continue
            if objects.LABEL not in json.loads(found.stdout)["metadata"].get("labels", {}):
                raise UserError(f"tenant {tenant} exists and is not the demo's: it is left alone")
            self._say(f"removing tenant {tenant} of an earlier demo")
            self._admin.run("delete", "tenant", tenant, f"--timeout={WAIT}")

    def _user(self, tenant: str) -> Kubectl:
        path = self._cluster.path("run", f"{tenant}.kubeconfig")
        text = identities.kubeconfig(self._cluster, tenant=tenant, user="admin")
        path.touch(mode=0o600)
        write_atomic(path, text.encode())
        return Kubectl(tools.kubectl(), path)

    def _pods(self, tenant: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._as[tenant].get("pods")["items"]
        return items


def _labels(pod: dict[str, Any]) -> dict[str, str]:
    labels: dict[str, str] = pod["metadata"].get("labels", {})
    return labels


def _expected(tenant: str, addresses: list[str]) -> list[str]:
    return [line for a in addresses for line in (f"ping {a} ok", f"http {a} {tenant}")]
