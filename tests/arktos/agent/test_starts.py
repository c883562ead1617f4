"""The bound on starts at once."""

from __future__ import annotations

import asyncio

from ursa.arktos.agent.starts import CONTAINER_FIRST, SANDBOX_SECOND, Starts


async def test_agents_of_one_machine_share_the_places(tmp_path):
    agents = [Starts(tmp_path, 2), Starts(tmp_path, 2)]
    at_once = most = 0

    async def start(agent: Starts) -> None:
        nonlocal at_once, most
        async with agent.place(SANDBOX_SECOND):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.01)
            at_once -= 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(12):
            tasks.create_task(start(agents[number % 2]))
    assert most == 2


async def test_containers_go_before_sandboxes(tmp_path):
    starts = Starts(tmp_path, 1)
    order: list[str] = []

    async def start(name: str, priority: int) -> None:
        async with starts.place(priority):
            order.append(name)

    async with asyncio.TaskGroup() as tasks, starts.place(SANDBOX_SECOND):
        tasks.create_task(start("sandbox", SANDBOX_SECOND))
        tasks.create_task(start("container", CONTAINER_FIRST))
        await asyncio.sleep(0)  # both are in line
    assert order == ["container", "sandbox"]


async def test_a_start_that_is_given_up_leaves_its_place_to_the_next(tmp_path):
    starts = Starts(tmp_path, 1)

    async def hold() -> None:
        async with starts.place(SANDBOX_SECOND):
            await asyncio.Event().wait()

    for _ in range(3):
        holding, waiting = asyncio.create_task(hold()), asyncio.create_task(hold())
        await asyncio.sleep(0)
        for task in (waiting, holding):
            task.cancel()
        await asyncio.wait([holding, waiting])
    async with asyncio.timeout(1), starts.place(SANDBOX_SECOND):
        pass
