"""Run a coroutine on a loop whose clock jumps to the next timer instead of waiting for it."""

import asyncio
import selectors


class _NoWait(selectors.DefaultSelector):
    """Reports what is ready and never waits; the loop's wait becomes a jump of its clock."""

    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("the loop waits for ever: nothing is scheduled")
        if not ready:
            self._loop.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.now_s = 0.0
        super().__init__(_NoWait(self))

    def time(self):
        return self.now_s


def run_virtual(coroutine):
    """Return the coroutine's result; a day of its loop time takes no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
