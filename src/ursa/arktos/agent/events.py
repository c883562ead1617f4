"""Two streams of events: those this agent tells users, and those containerd tells this agent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

import grpc.aio

from ursa.arktos.agent import cri
from ursa.client.recorder import Recorder
from ursa.kinds.part import Part

log = logging.getLogger(__name__)

WAITING_MAX: Final = 1000  # events; when full, further ones are dropped and counted
CONTAINERD_SUBSCRIBE = "/containerd.services.events.v1.Events/Subscribe"
EXIT_TOPICS = ("/tasks/exit", "/tasks/oom")


class Events:
    """Core events, written one after another behind the work that they tell of."""

    def __init__(self, recorder: Recorder) -> None:
        self.dropped = 0
        self._recorder = recorder
        self._waiting: asyncio.Queue[tuple[Part, str, str, str]] = asyncio.Queue(WAITING_MAX)

    def normal(self, obj: Part, reason: str, message: str) -> None:
        self._add(obj, "Normal", reason, message)

    def warning(self, obj: Part, reason: str, message: str) -> None:
        self._add(obj, "Warning", reason, message)

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            await self._recorder.event(*await self._waiting.get())

    def _add(self, obj: Part, kind: str, reason: str, message: str) -> None:
        try:
            self._waiting.put_nowait((obj, kind, reason, message))
        except asyncio.QueueFull:
            self.dropped += 1
            log.warning("event dropped", extra={"reason": reason, "dropped": self.dropped})


async def exits(runtime: cri.Runtime) -> AsyncIterator[None]:
    """Yield once for every task that ends in containerd. RuntimeUnavailable when it goes.

    What ended is not read: an event only says that it is time to list.
    """
    subscribe = runtime.channel.unary_stream(
        CONTAINERD_SUBSCRIBE, request_serializer=bytes, response_deserializer=bytes
    )
    call = subscribe(_filters(EXIT_TOPICS), metadata=(("containerd-namespace", "k8s.io"),))
    try:
        async for _ in call:
            yield None
    except grpc.aio.AioRpcError as fault:
        raise cri.RuntimeUnavailable(f"runtime {runtime.name}: {fault.details()}") from fault
    raise cri.RuntimeUnavailable(f"runtime {runtime.name}: event stream ended")


def _filters(topics: tuple[str, ...]) -> bytes:
    """Return a SubscribeRequest: field 1, repeated string."""
    words = [f'topic=="{topic}"'.encode() for topic in topics]
    return b"".join(b"\x0a" + bytes([len(word)]) + word for word in words)
