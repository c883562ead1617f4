"""Run one component until SIGTERM or SIGINT: the frame that every process of ours shares."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import uvloop

from ursa.base import log


def run(component: Callable[[], Awaitable[None]]) -> None:
    """Run `component` on uvloop; a signal cancels it, and it leaves nothing running."""
    log.configure()
    uvloop.run(_until_signalled(component))


async def _until_signalled(component: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await component()
    except asyncio.CancelledError:
        return
