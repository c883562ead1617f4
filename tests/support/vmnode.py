"""One node's VM runtime for tests: a real process in a network namespace of its own.

The network is a stand-in: a CNI plugin that makes a tap in the namespace and gives the host's
side an address, so that guests can be reached from there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import grpc
from cri_api.v1 import api_pb2 as cri
from cri_api.v1 import api_pb2_grpc as cri_grpc

from ursa.base import cgroup, netns
from ursa.onebox import vmimage

T = TypeVar("T")
GUEST_ADDRESS = "10.9.0.2"
MAC = "02:00:00:00:09:02"
MTU_BYTES = 1400
WAIT_S = 60.0  # a condition's patience; a guest under TCG takes 3 s on an idle machine
SOURCES = Path(__file__).parents[2] / "src"
PLUGIN = f"""#!/bin/sh
# Makes a tap with one address on the host's side; DEL is idempotent.
set -e
tap=t$(echo "$CNI_CONTAINERID" | cut -c1-10)
echo "$CNI_COMMAND $CNI_IFNAME $CNI_ARGS" >>"$(dirname "$0")/calls"
[ ! -e "$(dirname "$0")/refuse" ] || {{ echo '{{"code": 7, "msg": "no port"}}'; exit 1; }}
case $CNI_COMMAND in
ADD)
    ip tuntap add dev "$tap" mode tap vnet_hdr
    ip link set "$tap" mtu {MTU_BYTES} up
    ip addr add 10.9.0.1/24 dev "$tap"
    echo '{{"cniVersion": "0.4.0", "interfaces": [{{"name": "'"$tap"'", "mac": "{MAC}"}}],
        "ips": [{{"version": "4", "address": "{GUEST_ADDRESS}/24", "gateway": "10.9.0.1"}}]}}'
    ;;
DEL) ip link del "$tap" 2>/dev/null || true ;;
esac
"""


def eventually(condition: Callable[[], T], *, within_s: float = WAIT_S) -> T:
    """Return the condition's first true value."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)
    return value


def vm_image() -> Path:
    """Return a folder that holds the image `vm`; built once a machine."""
    cache = Path(tempfile.gettempdir(), "ursa-test-images")
    vmimage.build(cache / "vm", cache / "work")
    return cache


class VmNode:
    """A node's folders, namespace and cgroup, and the runtime process in it."""

    def __init__(self, folder: Path, image_dir: Path) -> None:
        self.folder = folder
        self.name = f"ursatestvm{os.getpid()}"
        self.pods = f"/{self.name}/pods"
        self.log = folder / "runtime.log"
        self.pod_logs = folder / "logs"
        self._image_dir = image_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: grpc.Channel | None = None

    def __enter__(self) -> VmNode:
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self._write_files()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pid in cgroup.pids(f"/{self.name}"):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: cgroup.remove(f"/{self.name}"))
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    def _write_files(self) -> None:
        plugin = self.folder / "cni/bin/test-tap"
        plugin.parent.mkdir(parents=True)
        plugin.write_text(PLUGIN)
        plugin.chmod(0o755)
        conf = self.folder / "cni/net.d/10-test.conflist"
        conf.parent.mkdir()
        network = {"cniVersion": "0.4.0", "name": self.name, "plugins": [{"type": "test-tap"}]}
        conf.write_text(json.dumps(network))
        config = {
            "name": "vmruntime",
            "ready_file": str(self.folder / "ready"),
            "cluster_id": self.name.removeprefix("ursa"),
            "socket": str(self.folder / "vm.sock"),
            "state_dir": str(self.folder / "state"),
            "image_dir": str(self._image_dir),
            "run_dir": str(self.folder / "run"),
            "cni_bin_dir": str(plugin.parent),
            "cni_conf_dir": str(conf.parent),
        }
        (self.folder / "vmruntime.json").write_text(json.dumps(config))

    def start(self) -> None:
        command = [sys.executable, "-m", "ursa", "vmruntime", "--config"]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    "nsenter",
                    f"--net=/run/netns/{self.name}",
                    *command,
                    self.folder / "vmruntime.json",
                ],
                env=os.environ | {"PYTHONPATH": str(SOURCES)},
                stdout=output,
                stderr=output,
            )
        eventually((self.folder / "ready").exists)
        self._channel = grpc.insecure_channel(f"unix:{self.folder / 'vm.sock'}")

    def kill(self) -> None:
        """kill -9 the runtime; its machines run on."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            (self.folder / "ready").unlink(missing_ok=True)
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runtime(self) -> Any:
        return cri_grpc.RuntimeServiceStub(self._channel)

    @property
    def images(self) -> Any:
        return cri_grpc.ImageServiceStub(self._channel)

    def inside(self, call: Callable[[], T]) -> T:
        return netns.run_in(f"/run/netns/{self.name}", call)

    def links(self) -> set[str]:
        command = ["ip", "-json", "-n", self.name, "link"]
        listed = subprocess.run(command, check=True, capture_output=True)
        return {link["ifname"] for link in json.loads(listed.stdout)} - {"lo"}

    def refuse_network(self, refuse: bool) -> None:
        file = self.folder / "cni/bin/refuse"
        file.touch() if refuse else file.unlink()

    def run_sandbox(self, uid: str = "uid-1", attempt: int = 0) -> str:
        request = cri.RunPodSandboxRequest(config=self.sandbox_config(uid, attempt))
        sandbox_id: str = self.runtime.RunPodSandbox(request, timeout=WAIT_S).pod_sandbox_id
        return sandbox_id

    def sandbox_config(self, uid: str, attempt: int = 0) -> Any:
        config = cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(
                name="box", uid=uid, namespace="default", attempt=attempt
            ),
            log_directory=str(self.pod_logs),
            labels={"app": "test"},
        )
        config.linux.cgroup_parent = f"{self.pods}/{uid}"
        return config

    def create(
        self,
        sandbox_id: str,
        script: str = "",
        *,
        attempt: int = 0,
        image: str = "vm",
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        notes = {"vm.ursa.dev/memory-bytes": str(128 << 20), **(annotations or {})}
        if script:
            notes["vm.ursa.dev/user-data-script"] = script
        config = cri.ContainerConfig(
            metadata=cri.ContainerMetadata(name="main", attempt=attempt),
            image=cri.ImageSpec(image=image),
            annotations=notes,
            log_path=f"main/{attempt}.log",
        )
        request = cri.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config)
        machine_id: str = self.runtime.CreateContainer(request, timeout=WAIT_S).container_id
        return machine_id

    def launch(self, machine_id: str) -> None:
        request = cri.StartContainerRequest(container_id=machine_id)
        self.runtime.StartContainer(request, timeout=WAIT_S)

    def status(self, machine_id: str) -> Any:
        request = cri.ContainerStatusRequest(container_id=machine_id)
        return self.runtime.ContainerStatus(request, timeout=WAIT_S).status

    def console(self, attempt: int = 0) -> list[str]:
        """Return what the machine said, without times and tags."""
        file = self.pod_logs / f"main/{attempt}.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.split(" ", 3)[3] for line in lines]

    def await_line(self, text: str, attempt: int = 0) -> None:
        eventually(lambda: text in self.console(attempt))

    def await_exit(self, machine_id: str) -> Any:
        def exited() -> Any:
            status = self.status(machine_id)
            return status if status.state == cri.CONTAINER_EXITED else None

        return eventually(exited)

    def qemu(self) -> list[int]:
        return sorted(cgroup.pids(self.pods))

    def remove(self, sandbox_id: str) -> None:
        stop = cri.StopPodSandboxRequest(pod_sandbox_id=sandbox_id)
        self.runtime.StopPodSandbox(stop, timeout=WAIT_S)
        remove = cri.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        self.runtime.RemovePodSandbox(remove, timeout=WAIT_S)

    def remains(self) -> set[str]:
        """Return all that the runtime has made and not removed."""
        state = self.folder / "state"
        left = {
            str(path) for kind in ("sandboxes", "machines") for path in (state / kind).iterdir()
        }
        left |= {str(path) for path in (self.folder / "run").iterdir()}
        left |= {f"process {pid}" for pid in self.qemu()}
        left |= {f"link {name}" for name in self.links()}
        for tree in cgroup.trees():
            left |= {str(path) for path in (tree / self.pods.lstrip("/")).glob("*/*/")}
        return left
