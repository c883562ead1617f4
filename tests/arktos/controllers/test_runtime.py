"""Queue, workers and back-off, on virtual time."""

import asyncio
import itertools
import logging

import pytest

from controllers_time import run_virtual
from ursa.arktos.controllers.runtime import (
    BACKOFF_MAX_S,
    BACKOFF_MIN_S,
    Controller,
    Result,
    WorkQueue,
    backoff_s,
    each,
    own_key,
)
from ursa.base.errors import Conflict, TerminalError
from ursa.client.key import Key

A, B = Key("acme", "default", "a"), Key("acme", "default", "b")


class Source:
    """A source of changes that the test fires by hand."""

    def on_change(self, callback):
        self.fire = callback


async def run_for(controller, seconds):
    try:
        async with asyncio.timeout(seconds):
            await controller.run()
    except TimeoutError:
        return


def attempts_of(outcomes, *, seconds):
    """Return the loop times at which key A is reconciled when `outcomes` are its results."""
    times = []
    script = iter(outcomes)

    async def reconcile(key):
        times.append(asyncio.get_running_loop().time())
        outcome = next(script, Result())
        if isinstance(outcome, Exception):
            raise type(outcome)(*outcome.args)  # a fresh one: a traceback grows at every raise
        return outcome

    async def main():
        controller = Controller("test", reconcile, workers=2)
        controller.add(A)
        await run_for(controller, seconds)

    run_virtual(main())
    return times


def test_a_key_added_many_times_waits_once():
    async def main():
        queue = WorkQueue()
        for key in (A, B, A, A):
            queue.add(key)
        return [await queue.take(), await queue.take()], queue._waiting

    assert run_virtual(main()) == ([A, B], {})


def test_a_key_added_while_held_waits_again_only_when_released():
    async def main():
        queue = WorkQueue()
        queue.add(A)
        held = await queue.take()
        queue.add(A)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await queue.take()
        queue.release(held)
        return await queue.take()

    assert run_virtual(main()) == A


def test_of_several_timers_of_a_key_the_earliest_counts():
    async def main():
        queue = WorkQueue()
        for delay_s in (5, 2, 9):
            queue.add_after(A, delay_s)
        await queue.take()
        taken_at = asyncio.get_running_loop().time()
        queue.release(A)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await queue.take()
        return taken_at

    assert run_virtual(main()) == 2


def test_a_key_taken_for_a_change_forgets_its_timer():
    async def main():
        queue = WorkQueue()
        queue.add_after(A, 10)
        queue.add(A)
        queue.release(await queue.take())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await queue.take()

    run_virtual(main())


def test_one_key_is_never_reconciled_by_two_workers():
    running = set()

    async def reconcile(key):
        assert key not in running
        running.add(key)
        await asyncio.sleep(1)
        running.discard(key)
        return Result(requeue_after_s=0)

    async def main():
        controller = Controller("test", reconcile, workers=4)
        source = Source()
        controller.watch(source, own_key)
        for _ in range(3):
            source.fire(A, None, object())
        await run_for(controller, 10)
        return controller._failures

    assert run_virtual(main()) == {}


def test_failures_back_off_and_success_resets():
    fault = RuntimeError("no")
    times = attempts_of([fault, fault, fault, Result(), fault], seconds=1000)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == pytest.approx([BACKOFF_MIN_S, 2 * BACKOFF_MIN_S, 4 * BACKOFF_MIN_S])


def test_backoff_is_bounded():
    assert [backoff_s(n) for n in (1, 20, 1000)] == [BACKOFF_MIN_S, BACKOFF_MAX_S, BACKOFF_MAX_S]


def test_a_day_of_failures_is_an_attempt_a_minute():
    times = attempts_of([RuntimeError("no")] * 5000, seconds=86400)
    assert 1400 <= len(times) <= 1460


def test_a_terminal_error_is_not_tried_again():
    assert len(attempts_of([TerminalError("never")], seconds=86400)) == 1


def test_requeue_after_is_obeyed():
    assert attempts_of([Result(requeue_after_s=30)], seconds=3600) == [0, 30]


def test_a_lost_race_is_tried_again_without_a_line_in_the_log(caplog):
    with caplog.at_level(logging.INFO):
        assert len(attempts_of([Conflict("stale")], seconds=10)) == 2
    assert caplog.records == []


def test_a_bug_in_one_key_does_not_stop_the_others():
    done = []

    async def reconcile(key):
        if key == A:
            raise KeyError("bug")
        done.append(key)
        return Result()

    async def main():
        controller = Controller("test", reconcile, workers=1)
        controller.add(A)
        controller.add(B)
        await run_for(controller, 1)

    run_virtual(main())
    assert done == [B]


def test_cancelling_ends_every_worker_and_timer():
    async def reconcile(key):
        if key == A:
            await asyncio.sleep(3600)
        return Result(requeue_after_s=5)

    async def main():
        controller = Controller("test", reconcile, workers=2)
        controller.add(A)
        controller.add(B)
        await run_for(controller, 1)
        return len(asyncio.all_tasks()), controller._queue._timers

    assert run_virtual(main()) == (1, {})


def test_a_watched_change_queues_what_old_and_new_form_name():
    async def main():
        seen = []

        async def reconcile(key):
            seen.append(key)
            return Result()

        controller, source = Controller("test", reconcile, workers=1), Source()
        controller.watch(source, lambda key, form: [form])
        source.fire(A, "before", "after")
        source.fire(A, "before", None)
        await run_for(controller, 1)
        return seen

    assert run_virtual(main()) == ["before", "after"]


async def test_each_awaits_all_and_raises_the_first_failure():
    done = []

    async def write(number):
        if number < 2:
            raise ValueError(number)
        done.append(number)

    with pytest.raises(ValueError, match="0"):
        await each(write(number) for number in range(4))
    assert done == [2, 3]
