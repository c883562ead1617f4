"""Items wait once, are held by one worker, and come back after a failure."""

from __future__ import annotations

import asyncio

from ursa.alcor.controller.queue import Item, Queue
from ursa.client.key import Key

A, B = Item("Port", Key("t", "ns", "a")), Item("Port", Key("t", "ns", "b"))
DEADLINE_S = 5.0


async def working(queue, reconcile, until, workers=2):
    """Run workers until `until` is set."""
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(queue.work(reconcile)) for _ in range(workers)]
        await until.wait()
        for task in running:
            task.cancel()


async def test_an_item_added_twice_is_reconciled_once():
    queue, seen, done = Queue(), [], asyncio.Event()

    async def reconcile(item):
        seen.append(item)
        if item == B:
            done.set()

    for item in (A, A, B):
        queue.add(item)
    await working(queue, reconcile, done, workers=1)
    assert seen == [A, B]


async def test_an_item_added_while_it_is_held_is_reconciled_again_and_never_twice_at_once():
    queue, done = Queue(), asyncio.Event()
    runs, at_once = 0, 0

    async def reconcile(item):
        nonlocal runs, at_once
        runs += 1
        at_once += 1
        assert at_once == 1
        if runs == 1:
            queue.add(item)
            await asyncio.sleep(0)
        else:
            done.set()
        at_once -= 1

    queue.add(A)
    await working(queue, reconcile, done)
    assert runs == 2


async def test_a_failure_is_tried_again_and_stops_no_other_item():
    queue, done = Queue(), asyncio.Event()
    tries: list[Item] = []

    async def reconcile(item):
        tries.append(item)
        if tries.count(A) < 3 and item == A:
            raise OSError("no")
        if item == A:
            done.set()

    queue.add(A)
    queue.add(B)
    await working(queue, reconcile, done, workers=1)
    assert tries.count(A) == 3 and tries.count(B) == 1
