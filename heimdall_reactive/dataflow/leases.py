"""`Leases`: partitions spread over live copies, by keys of the log that expire.

A bucket of the log's key-value store holds a key for each slot, and one for each copy. A key that
is not written again within the time of the lease vanishes, by the log's own clock; every write
names the revision it follows, so of two that want a slot one wins.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from heimdall_reactive import ConfigurationError
from heimdall_reactive.base.starting import start_task

from .assignment import Slot, plan
from .log_client import Log, LogError
from .nats_client import told
from .tasks import end, raise_if_cancelled

if TYPE_CHECKING:
    from nats.js.kv import KeyValue

__all__ = ["Leases"]

logger: Final = logging.getLogger("heimdall_reactive.dataflow")

Entries: TypeAlias = Mapping[str, tuple[bytes, int]]

SHORTEST: Final = 1.0  # seconds of a lease; the log looks for what expired about as often


class Leases:
    """Holds slots of partitions, renews them, and takes over what others let go.

    While the log cannot be reached nobody loses anything: each copy keeps what it holds.

    Args:
        log: where the keys are.
        name: of this copy; no other may have it.
        partitions: all of them; every copy must be given the same.
        replicas: copies that hold each partition.
        ttl: seconds after which the leases of a dead copy are free.
        on_change: told the partitions that are held, after each change.

    Attributes:
        held: the partitions that are held now.
        copies: the copies that lived when it was looked last.

    Raises:
        ConfigurationError: a name or number cannot work.
    """

    def __init__(
        self,
        log: Log,
        name: str,
        partitions: Collection[str],
        *,
        replicas: int = 1,
        ttl: float = 6.0,
        on_change: Callable[[frozenset[str]], None] = lambda held: None,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise ConfigurationError(
                f"{name!r} is not a name of a copy: use letters, digits, - and _"
            )
        if replicas < 1 or ttl < SHORTEST:
            raise ConfigurationError(f"leases need 1 replica or more, and {SHORTEST:g} s or more")
        self.held: frozenset[str] = frozenset()
        self.copies: frozenset[str] = frozenset()
        self._log = log
        self._bucket_name = f"{log.stream}_leases"
        self._name = name
        self._partitions = tuple(partitions)
        self._replicas = replicas
        self._ttl = ttl
        self._on_change = on_change
        self._mine: dict[Slot, int] = {}  # the revision of each
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._task = start_task(self._run(), "heimdall-leases")

    async def aclose(self) -> None:
        """Let go of everything, so that others need not wait until it expires. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        await end([task])
        with suppress(Exception):  # it expires all the same
            async with asyncio.timeout(2.0):
                bucket = await self._bucket()
                for slot, revision in self._mine.items():
                    await bucket.delete(_key(slot), last=revision)
                await bucket.delete(f"copy.{self._name}")
        self._mine.clear()

    async def _run(self) -> None:
        bucket: KeyValue | None = None
        while True:
            try:
                async with asyncio.timeout(self._ttl):
                    bucket = bucket or await self._bucket()
                    await self._turn(bucket)
            except Exception as error:  # of the log: the next turn finds out what is left
                raise_if_cancelled()
                bucket = None
                why = error if isinstance(error, LogError) else told(error)
                logger.warning("the leases could not be renewed: %s", why)
            raise_if_cancelled()
            await asyncio.sleep(self._ttl / 4)

    async def _turn(self, bucket: KeyValue) -> None:
        """Tell that this copy lives, renew what it holds, and take what it should."""
        await bucket.put(f"copy.{self._name}", b"")
        await self._renew(bucket)
        entries = await self._entries(bucket)
        await self._adopt(bucket, entries)
        self.copies = frozenset(
            key.removeprefix("copy.") for key in entries if key.startswith("copy.")
        )
        holders = {
            slot: value.decode() for key, (value, _) in entries.items()
            if (slot := _slot(key)) is not None
        }  # fmt: skip
        step = plan(self._name, self.copies, holders, self._partitions, self._replicas)
        for slot in step.take:
            await self._write(bucket, slot, 0)
        for slot in step.steal:
            await self._write(bucket, slot, entries[_key(slot)][1])
        self._tell()

    async def _renew(self, bucket: KeyValue) -> None:
        for slot, revision in tuple(self._mine.items()):
            if not await self._write(bucket, slot, revision):
                del self._mine[slot]  # it expired, or somebody has taken it

    async def _adopt(self, bucket: KeyValue, entries: Entries) -> None:
        """Go on with what is held under this name unknowingly.

        The answer to a write was lost, or the copy was restarted.
        """
        for key, (value, revision) in entries.items():
            slot = _slot(key)
            if slot is not None and slot not in self._mine and value.decode() == self._name:
                await self._write(bucket, slot, revision)

    async def _write(self, bucket: KeyValue, slot: Slot, revision: int) -> bool:
        """Write a key behind a revision, 0 for none; return False where another was faster."""
        from nats.js.errors import KeyWrongLastSequenceError

        value = self._name.encode()
        try:
            if revision:
                self._mine[slot] = await bucket.update(_key(slot), value, last=revision)
            else:
                self._mine[slot] = await bucket.create(_key(slot), value)
        except KeyWrongLastSequenceError:
            return False
        return True

    def _tell(self) -> None:
        held = frozenset(slot.partition for slot in self._mine)
        if held != self.held:
            self.held = held
            self._on_change(held)

    async def _entries(self, bucket: KeyValue) -> Entries:
        """Return every key that lives, with its value and revision.

        Not by a watcher, as `bucket.keys()` does it: that misses keys that are written.
        """
        stream, prefix = f"KV_{self._bucket_name}", f"$KV.{self._bucket_name}."
        info = await self._log.js.stream_info(stream, subjects_filter=f"{prefix}>")
        keys = [name.removeprefix(prefix) for name in info.state.subjects or ()]
        found = await asyncio.gather(*(_entry(bucket, key) for key in keys))
        return {key: entry for key, entry in zip(keys, found, strict=True) if entry is not None}

    async def _bucket(self) -> KeyValue:
        import nats.js.errors

        name = self._bucket_name
        try:
            bucket = await self._log.js.key_value(name)
            status = await bucket.status()
        except nats.js.errors.NotFoundError:
            return await self._log.js.create_key_value(
                bucket=name, ttl=self._ttl, history=1, max_bytes=2**20
            )
        if status.ttl != self._ttl:
            raise LogError(f"other copies have leases of {status.ttl} s, not {self._ttl}")
        return bucket


async def _entry(bucket: KeyValue, key: str) -> tuple[bytes, int] | None:
    """Return a key's value and revision; None where it has just expired, or was deleted."""
    from nats.js.errors import KeyNotFoundError

    try:
        entry = await bucket.get(key)
    except KeyNotFoundError:
        return None
    return entry.value or b"", entry.revision or 0


def _key(slot: Slot) -> str:
    return f"slot.{slot.partition}.{slot.number}"


def _slot(key: str) -> Slot | None:
    kind, _, rest = key.partition(".")
    partition, _, number = rest.rpartition(".")
    return Slot(partition, int(number)) if kind == "slot" and number.isdecimal() else None
