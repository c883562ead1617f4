"""How long from a pod's creation to Running, as a watcher sees it, with the image present?

start_p50_s, start_p99_s: pods one after another on an idle cloud of two nodes, each a busybox
`sleep`. pods_per_s: a burst of 50 created at once, first creation to last Running. Clients run on
the same two cores. Budget: SPECIFICATION.md, "Pods".
"""

from __future__ import annotations

import asyncio
import statistics
import time

from cloud import Cloud, cloud
from harness import emit, machine
from ursa.base.config import TlsFiles
from ursa.client import Client, Key, Lister
from ursa.kinds.container import Container
from ursa.kinds.part import ObjectMeta
from ursa.kinds.pod import Pod, PodSpec

WARM_UP = 4
ONE_BY_ONE = 40
BURST = 50
TIMEOUT_S = 120.0


def pod(name: str) -> Pod:
    container = Container(name="c", image="busybox", command=("sleep", "9999"))
    spec = PodSpec(containers=(container,), termination_grace_period_seconds=0)
    return Pod(metadata=ObjectMeta(name=name, namespace="default", tenant="system"), spec=spec)


class Starter:
    def __init__(self, client: Client, pods: Lister[Pod]) -> None:
        self._client = client
        self._running: dict[str, asyncio.Future[float]] = {}
        pods.on_change(self._seen)

    def _seen(self, key: Key, old: Pod | None, new: Pod | None) -> None:
        waiting = self._running.get(key.name)
        runs = new is not None and new.status.phase == "Running"
        if runs and waiting is not None and not waiting.done():
            waiting.set_result(time.monotonic())

    async def start(self, name: str) -> tuple[float, float]:
        """Create a pod; return when that was asked and when it was seen Running."""
        self._running[name] = asyncio.get_running_loop().create_future()
        began_s = time.monotonic()
        await self._client.create(pod(name))
        async with asyncio.timeout(TIMEOUT_S):
            return began_s, await self._running[name]

    async def remove(self, name: str) -> None:
        await self._client.delete(pod(name), grace_period_s=0)


async def measure(client: Client) -> None:
    pods: Lister[Pod] = Lister(client, Pod, tenant="system")
    watching = asyncio.create_task(pods.run())
    await pods.synced()
    starter = Starter(client, pods)
    times = []
    for number in range(WARM_UP + ONE_BY_ONE):
        began_s, running_s = await starter.start(f"one-{number}")
        times.append(running_s - began_s)
        await starter.remove(f"one-{number}")
    times = times[WARM_UP:]
    emit("start_p50_s", times, "s")
    emit("start_p99_s", [statistics.quantiles(times, n=100)[98]], "s")
    spans = await asyncio.gather(*(starter.start(f"burst-{n}") for n in range(BURST)))
    whole_s = max(end for _, end in spans) - min(begin for begin, _ in spans)
    emit("pods_per_s", [BURST / whole_s], "pods/s")
    watching.cancel()


async def run(running: Cloud) -> None:
    folder = running.data_dir / "pki"
    tls = TlsFiles(
        ca=str(folder / "ca.crt"), cert=str(folder / "admin.crt"), key=str(folder / "admin.key")
    )
    async with Client(f"https://127.0.0.1:{running.port}", tls) as client:
        await measure(client)


def main() -> None:
    with cloud() as running:
        asyncio.run(run(running))
    machine()


if __name__ == "__main__":
    main()
