"""`ursa vmruntime`: the VM runtime server of one node, in the node's network namespace."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from pathlib import Path

from ursa.base.clock import WallClock
from ursa.base.config import Config, ConfigError, load
from ursa.cmd.run import run

# Children exec at once, so gRPC has nothing to do at a fork and would only complain. It reads
# this when it is imported, which is why `component` imports what imports it.
FORK_SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"
SOCKET_PATH_MAX = 107  # bytes of sun_path, without its end
QMP_SOCKET = "x" * 32 + ".qmp"  # as long as any
STOP_GRACE_S = 1.0  # for calls under way; machines run on anyway


class VmRuntimeConfig(Config):
    name: str
    ready_file: str
    cluster_id: str
    socket: str
    """Unix socket of the CRI server."""
    state_dir: str
    """Records, disks and raw consoles; on one file system with image_dir."""
    image_dir: str
    """Folders of images; several runtimes of one machine may share it."""
    run_dir: str
    """QMP sockets; short, for a socket's path is."""
    cni_bin_dir: str
    cni_conf_dir: str

    def check(self) -> None:
        """Make the folders. ConfigError says which setting cannot work, and why."""
        for folder in (self.state_dir, self.image_dir, self.run_dir):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        paths = {"socket": self.socket, "run_dir": os.path.join(self.run_dir, QMP_SOCKET)}
        for setting, path in paths.items():
            if len(os.fsencode(path)) > SOCKET_PATH_MAX:
                raise ConfigError(f"{setting}: a socket's path has at most {SOCKET_PATH_MAX} bytes")
        if os.stat(self.state_dir).st_dev != os.stat(self.image_dir).st_dev:
            raise ConfigError("state_dir and image_dir lie on two file systems: disks are linked")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="ursa vmruntime", description=__doc__)
    parser.add_argument("--config", required=True)
    config = load(VmRuntimeConfig, parser.parse_args(argv).config)
    config.check()
    os.environ[FORK_SUPPORT] = "0"
    logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # its failures are raised as well
    run(lambda: component(config))


async def component(config: VmRuntimeConfig) -> None:
    """Serve until cancelled; machines outlive it."""
    from ursa.arktos.vmruntime.cni import Cni
    from ursa.arktos.vmruntime.images import Images
    from ursa.arktos.vmruntime.runtime import Places, Runtime
    from ursa.arktos.vmruntime.server import serve

    ready = Path(config.ready_file)
    ready.unlink(missing_ok=True)  # noqa: ASYNC240 one file, before anything is served
    parent = f"/ursa-{config.cluster_id}-vm"
    places = Places(Path(config.state_dir), Path(config.run_dir), parent)
    network = Cni(Path(config.cni_bin_dir), Path(config.cni_conf_dir))
    runtime = Runtime(places, Images(Path(config.image_dir)), network, WallClock())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runtime.run())
        await runtime.ready.wait()
        server = serve(runtime, config.socket)
        await server.start()
        ready.touch()  # noqa: ASYNC240
        try:
            await server.wait_for_termination()
        finally:
            await server.stop(STOP_GRACE_S)
