"""The engine of one machine: one SQLite file, written by one thread, a transaction a batch.

    commit ─▶ Log.stage ─▶ waiting ══▶ commit thread: INSERT many rows, COMMIT (fsync of the WAL)
                                          │ one wake-up of the loop for the batch
    futures ◀─ watches ◀─ Log.settle ◀────┘

The table is the log: a row a write. What is current follows from it, so there is no second
table to keep in step; opening reads it once, in order. A batch that fails (a full disk) fails
everything staged, because later writes compared themselves with it; the thread takes nothing
more until the loop has forgotten those (`_broken`). Checkpoints run in a thread of their own.
Rows that compaction makes dead are deleted by the commit thread, a bounded number a turn.

Source: sqlite.org/wal.html; figures in bench/bench_api.py.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import logging
import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ursa.store.engine import StoreError, Watches
from ursa.store.log import Log, Write, total_bytes

logger = logging.getLogger(__name__)

BATCH_ROWS_MAX = 512  # rows of one transaction; bounds how long the first of them waits
BATCH_BYTES_MAX = 8 << 20  # and its bytes; a single larger commit is a batch of its own
STATEMENT_ROWS_MAX = 128  # rows of one INSERT; SQLite allows 32,766 variables, and 3 are a row
DELETE_ROWS_MAX = 500  # dead rows deleted in one transaction
CHECKPOINT_WAL_BYTES = 32 << 20  # copy the WAL back once it is this long
TRUNCATE_WAL_BYTES = 256 << 20  # and stop the writer for it once it is this long
CHECKPOINT_EVERY_S = 1.0
BUSY_TIMEOUT_S = 30.0  # a truncating checkpoint of TRUNCATE_WAL_BYTES on a slow disk

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO meta VALUES ('format', 1), ('compacted', 0);
"""


class _Commit(NamedTuple):
    rows: list[tuple[int, Write]]
    done: asyncio.Future[int]


class SqliteStore(Watches):
    """Open by `await SqliteStore.open(folder)`."""

    def __init__(self, folder: Path, log: Log, dead: list[int], lock: int) -> None:
        super().__init__(log)
        self._path = folder / "log.db"
        self._lock_descriptor = lock
        self._loop = asyncio.get_running_loop()
        self._turn: list[_Commit] = []  # committed in this turn of the loop; not handed over
        self._wake = threading.Condition()  # guards what follows
        self._waiting: list[_Commit] = []
        self._dead = dead  # revisions of rows to delete
        self._compact_at: int | None = None  # to be recorded
        self._broken = False
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run_commits, name="store-commit"),
            threading.Thread(target=self._run_checkpoints, name="store-checkpoint"),
        ]
        self._stop_checkpoints = threading.Event()
        for thread in self._threads:
            thread.start()

    @classmethod
    async def open(cls, folder: Path) -> SqliteStore:
        """Open or create the store in a folder. StoreError if another process has it."""
        lock = _lock(folder)
        try:
            log, dead = await asyncio.to_thread(_load, folder / "log.db")
        except sqlite3.Error as fault:
            os.close(lock)
            raise StoreError(f"{folder}/log.db cannot be read: {fault}") from fault
        return cls(folder, log, dead, lock)

    async def commit(self, writes: Sequence[Write], compare: Mapping[str, int]) -> int:
        if self._closing:
            raise StoreError("the store is closing")
        rows = self._log.stage(writes, compare)
        done: asyncio.Future[int] = self._loop.create_future()
        if not self._turn:
            self._loop.call_soon(self._hand_over)
        self._turn.append(_Commit(rows, done))
        return await done

    async def compact(self, revision: int) -> None:
        dead = self._log.compact(revision)
        with self._wake:
            self._dead += dead
            self._compact_at = self._log.compacted
            self._wake.notify()

    async def close(self) -> None:
        self._hand_over()
        self._stop_checkpoints.set()
        with self._wake:
            self._closing = True
            self._wake.notify()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        os.close(self._lock_descriptor)

    # The loop's side

    def _hand_over(self) -> None:
        turn, self._turn = self._turn, []
        with self._wake:
            self._waiting += turn
            self._wake.notify()

    def _settle(self, batch: list[_Commit]) -> None:
        self._publish(self._log.settle(sum(len(commit.rows) for commit in batch)))
        for commit in batch:
            if not commit.done.done():
                commit.done.set_result(commit.rows[-1][0])

    def _fail(self, batch: list[_Commit], fault: Exception) -> None:
        with self._wake:
            failed = batch + self._waiting + self._turn
            self._waiting, self._turn = [], []
            self._log.abandon()
            self._broken = False
            self._wake.notify()
        for commit in failed:
            if not commit.done.done():
                commit.done.set_exception(StoreError(f"the write is not durable: {fault}"))
                commit.done.exception()  # its caller may have been cancelled

    # The commit thread

    def _run_commits(self) -> None:
        database = _connect(self._path)
        try:
            while True:
                with self._wake:
                    self._wake.wait_for(self._has_work)
                    batch = self._take_batch()
                    idle = not batch and not self._dead and self._compact_at is None
                    if self._closing and idle:
                        return
                self._write(database, batch) if batch else self._clean(database)
        finally:
            database.close()

    def _has_work(self) -> bool:
        if self._broken:
            return False
        wants_cleaning = bool(self._dead) or self._compact_at is not None
        return bool(self._waiting) or wants_cleaning or self._closing

    def _take_batch(self) -> list[_Commit]:
        rows = size = taken = 0
        for commit in self._waiting:
            rows += len(commit.rows)
            size += total_bytes(write for _, write in commit.rows)
            if taken and (rows > BATCH_ROWS_MAX or size > BATCH_BYTES_MAX):
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    def _write(self, database: sqlite3.Connection, batch: list[_Commit]) -> None:
        rows = [row for commit in batch for row in commit.rows]
        try:
            _insert(database, rows)
        except sqlite3.Error as fault:
            logger.error("commit failed", extra={"rows": len(rows), "fault": str(fault)})
            with self._wake:
                self._broken = True
            self._loop.call_soon_threadsafe(self._fail, batch, fault)
        else:
            self._loop.call_soon_threadsafe(self._settle, batch)

    def _clean(self, database: sqlite3.Connection) -> None:
        """Delete some dead rows, once the file says that they are behind the compaction.

        After a failure the rest is left: the next opening finds it dead again.
        """
        with self._wake:
            compacted, self._compact_at = self._compact_at, None
            dead, self._dead = self._dead[:DELETE_ROWS_MAX], self._dead[DELETE_ROWS_MAX:]
        try:
            with database:
                database.execute("BEGIN IMMEDIATE")
                if compacted is not None:
                    database.execute("UPDATE meta SET value=? WHERE name='compacted'", [compacted])
                marks = ",".join("?" * len(dead))
                database.execute(f"DELETE FROM log WHERE revision IN ({marks})", dead)
        except sqlite3.Error as fault:
            logger.error("compaction failed", extra={"fault": str(fault)})
            with self._wake:
                self._dead.clear()

    # The checkpoint thread

    def _run_checkpoints(self) -> None:
        database = _connect(self._path)
        wal = Path(f"{self._path}-wal")
        try:
            while not self._stop_checkpoints.wait(CHECKPOINT_EVERY_S):
                size = wal.stat().st_size if wal.exists() else 0
                if size >= CHECKPOINT_WAL_BYTES:
                    mode = "TRUNCATE" if size >= TRUNCATE_WAL_BYTES else "PASSIVE"
                    database.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except sqlite3.Error:
            # The log stays right without checkpoints; the file grows until the next start.
            logger.exception("checkpoint failed")
        finally:
            database.close()


def _lock(folder: Path) -> int:
    """Take the folder for this process, until the descriptor is closed or the process dies."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        os.close(descriptor)
        raise StoreError(f"{folder} is in use by another process") from fault
    return descriptor


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    return database


def _load(path: Path) -> tuple[Log, list[int]]:
    """Return the log as the file holds it, and the revisions of dead rows."""
    database = _connect(path)
    try:
        database.executescript(_SCHEMA)
        (compacted,) = database.execute("SELECT value FROM meta WHERE name='compacted'").fetchone()
        log, dead = Log(compacted), []
        for revision, key, value in database.execute(
            "SELECT revision, key, value FROM log ORDER BY revision"
        ):
            if revision <= compacted and value is None:
                dead.append(revision)
            if superseded := log.replay(revision, Write(key, value)):
                dead.append(superseded)
    finally:
        database.close()
    return log, dead


def _insert(database: sqlite3.Connection, rows: list[tuple[int, Write]]) -> None:
    """Insert many rows a statement: the interpreter's lock is released once for each."""
    with database:
        database.execute("BEGIN IMMEDIATE")
        for first in range(0, len(rows), STATEMENT_ROWS_MAX):
            some = rows[first : first + STATEMENT_ROWS_MAX]
            values = itertools.chain.from_iterable((r, w.key, w.value) for r, w in some)
            marks = ",".join(["(?,?,?)"] * len(some))
            database.execute(f"INSERT INTO log VALUES {marks}", list(values))
