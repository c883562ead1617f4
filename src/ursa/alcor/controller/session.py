"""What one node has been sent and what it has acknowledged: a state machine, no I/O.

    touch ─▶ pending ─next_message▶ in flight ─ack▶ held
                ▲                       │ nack, or the stream ended: a snapshot is due
                └───────────────────────┘

0 <= acked <= pushed. What is touched while messages are in flight is merged and goes out as
one message later, so a slow node costs one set of rows, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ursa.alcor.controller.compile import compile_message
from ursa.alcor.controller.world import Touched, World
from ursa.proto.alcor_pb2 import ControllerMessage, Revision

IN_FLIGHT_MAX = 4  # messages without acknowledgement; more only hides a slow node
EPOCH_MAX = (1 << 63) - 1  # a node that claims to hold more is lying

Held = Callable[[bool], None]  # True: the node holds it; False: the node is gone


class Session:
    """One node's; it outlives the node's streams."""

    def __init__(self, node: str, epoch: int) -> None:
        self.node = node
        self.is_connected = False
        self.wake = asyncio.Event()
        self.refusal = ""
        """Why the node did not take the last message; "" if it did."""
        self._epoch = epoch
        self._pushed = 0
        self._acked = 0
        self._is_whole_due = True
        self._touched = Touched()
        self._waiting: list[Held] = []  # for what is not yet sent
        self._in_flight: deque[tuple[int, list[Held]]] = deque()

    def connect(self, held: Revision) -> None:
        """A stream begins: its first message is a snapshot, newer than all that the node holds."""
        if (held.epoch, held.counter) > (self._epoch, self._pushed):
            self._epoch = held.epoch + 1
        self.is_connected = True
        self._start_over()

    def disconnect(self) -> None:
        self.is_connected = False
        self._start_over()

    def _start_over(self) -> None:
        self._is_whole_due = True
        self._touched = Touched()
        for _, waiting in self._in_flight:
            self._waiting += waiting
        self._in_flight.clear()
        self.wake.set()

    def touch(self, touched: Touched) -> None:
        if not self._is_whole_due:
            self._touched.add(touched)
        self.wake.set()

    def expect(self, held: Held) -> None:
        """Call `held` once the node holds all that was touched until now, or is gone."""
        self._waiting.append(held)
        self.wake.set()

    def next_message(self, world: World) -> ControllerMessage | None:
        """Return what to send now; None if there is nothing, or enough is in flight."""
        if len(self._in_flight) >= IN_FLIGHT_MAX:
            return None
        if not (self._is_whole_due or self._touched or self._waiting):
            return None
        if self._is_whole_due:
            message = compile_message(world, self.node, world.whole(self.node))
        else:
            message = compile_message(world, self.node, self._touched)
            message.base.CopyFrom(self._revision())
        self._is_whole_due, self._touched = False, Touched()
        self._pushed += 1
        message.revision.CopyFrom(self._revision())
        self._in_flight.append((self._pushed, self._waiting))
        self._waiting = []
        return message

    def ack(self, held: Revision) -> None:
        """The maps hold `held`."""
        if held.epoch != self._epoch or held.counter > self._pushed:
            self._refuse("it acknowledges a revision that was never sent")
            return
        self.refusal = ""
        self._acked = max(self._acked, held.counter)
        while self._in_flight and self._in_flight[0][0] <= self._acked:
            for callback in self._in_flight.popleft()[1]:
                callback(True)
        self.wake.set()

    def nack(self, refused: Revision, reason: str) -> None:
        """The node could not take a message; what followed it is void too, and so are its nacks."""
        if self._in_flight and refused.counter >= self._in_flight[0][0]:
            self._refuse(reason)

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self._start_over()

    def give_up(self) -> None:
        """The node is gone for good: nobody need wait for it."""
        self._start_over()
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback(False)

    def _revision(self) -> Revision:
        return Revision(epoch=self._epoch, counter=self._pushed)
