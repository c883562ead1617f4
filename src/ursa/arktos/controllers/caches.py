"""One Lister for each kind, shared by all controllers of the process.

The kinds named at construction are held as their typed views; of all others only the metadata
is. Nothing is asked of the server before `run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ursa.arktos.controllers.discovery import Served, metadata_view
from ursa.client import Client, Lister
from ursa.kinds.part import Part, View, view_of

T = TypeVar("T", bound=Part)


class Caches:
    def __init__(self, client: Client, typed: Iterable[type[Part]]) -> None:
        self._client = client
        self._whole: dict[View, Lister[Any]] = {view_of(cls): Lister(client, cls) for cls in typed}
        self._selected: list[Lister[Any]] = []

    def of(self, cls: type[T]) -> Lister[T]:
        """Return the lister of one of the kinds named at construction."""
        return self._whole[view_of(cls)]

    def selected(self, cls: type[T], *, field_selector: str) -> Lister[T]:
        """Return a lister of some objects of a kind, for its caller alone."""
        lister = Lister(self._client, cls, field_selector=field_selector)
        self._selected.append(lister)
        return lister

    def metadata_of(self, kinds: Sequence[Served]) -> Mapping[View, Lister[Any]]:
        """Return a lister for each kind: the typed one if there is one, else of metadata."""
        for served in kinds:
            if served.view not in self._whole:
                self._whole[served.view] = Lister(self._client, metadata_view(served.view))
        return {served.view: self._whole[served.view] for served in kinds}

    @property
    def _listers(self) -> list[Lister[Any]]:
        return [*self._whole.values(), *self._selected]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for lister in self._listers:
                tasks.create_task(lister.run())

    async def synced(self) -> None:
        """Wait until every lister has been filled once."""
        for lister in self._listers:
            await lister.synced()
