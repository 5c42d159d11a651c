"""`connect_log`: a connection to the durable log, a stream of NATS JetStream."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from heimdall_reactive import ConfigurationError

from .nats_client import (
    TOO_LARGE,
    LogError,
    OnRefusal,
    RecordTooLarge,
    close_client,
    dial,
    shown,
    told,
)
from .records import Kind, Record, channel_of, checked_stream, read_record, subject

if TYPE_CHECKING:
    from nats.js import JetStreamContext
    from nats.js.api import StreamConfig

    from .checked_client import CheckedClient

__all__ = ["Ack", "Log", "LogError", "StreamSettings", "connect_log", "provide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """How a stream is made where it does not exist; one that exists is taken as it is.

    A full stream drops its oldest records (`discard=old`): what must be kept longer needs larger
    bounds, or a consumer that keeps up. All records are kept in files; they outlive the server's
    process, but the server does not flush each of them to the disk.

    Attributes:
        max_age: seconds that a record is kept.
        max_bytes: bytes of records that are kept.
        duplicate_window: seconds in which a repeated id is dropped; longer than any time for
            which the log, or a copy of the ingest, may be away. The server keeps the ids of this
            time in memory.
        replicas: servers of a cluster that hold each record.

    Raises:
        ConfigurationError: a bound is not above 0.
    """

    max_age: float = 7 * 86400.0
    max_bytes: int = 2**30
    duplicate_window: float = 120.0
    replicas: int = 1

    def __post_init__(self) -> None:
        for name in ("max_age", "max_bytes", "duplicate_window", "replicas"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} of a stream must be above 0")


@dataclass(frozen=True, slots=True)
class Ack:
    """What the log answers to a record.

    Attributes:
        seq: its place in the log; of a repeat, the place of the first.
        duplicate: whether the log had it already, and keeps it once.
    """

    seq: int
    duplicate: bool = False


class Log:
    """A connection to one stream; made by `connect_log`. It reconnects until it is closed.

    Attributes:
        stream: name of the stream.
        client: the connection of `nats-py`.
        js: its JetStream context.
    """

    def __init__(
        self, client: CheckedClient, stream: str, servers: Sequence[str], options: dict[str, Any]
    ) -> None:
        self.client = client
        self.stream = stream
        self.js: JetStreamContext = client.jetstream()
        self._servers = list(servers)
        self._options = options

    async def publish(self, record: Record, timeout: float = 5.0) -> Ack:
        """Write a record, and wait until the log has it.

        Raises:
            RecordTooLarge: the log does not have it, and never takes it.
            LogError: the log did not say so; it may have the record all the same. Publish again:
                a record with an id is kept once.
        """
        import nats.errors

        name, headers = record.subject(self.stream), record.all_headers()
        if record.size() > self.client.max_payload:  # the server would end the connection
            limit = f"max_payload={self.client.max_payload} of the log's server"
            raise RecordTooLarge(f"the record is larger than {limit}")
        try:
            ack = await self.js.publish(name, record.data, timeout, headers=headers)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            if getattr(error, "err_code", None) in TOO_LARGE:
                raise RecordTooLarge(f"the log takes no record so large: {told(error)}") from None
            raise LogError(f"the log did not take a record: {told(error)}") from None
        return Ack(ack.seq, bool(ack.duplicate))

    async def last(self, channel: str, kind: Kind = "in") -> Record | None:
        """Return the newest record of a channel, None where there is none.

        Raises:
            LogError: the log did not answer.
        """
        import nats.errors
        import nats.js.errors

        name = subject(self.stream, kind, channel)
        try:
            found = await self.js.get_last_msg(self.stream, name)
        except nats.js.errors.NotFoundError:
            return None
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise LogError(f"the log did not answer: {told(error)}") from None
        return read_record(name, found.data or b"", found.headers, found.seq or 0)

    async def channels(self, kind: Kind = "in") -> list[str]:
        """Return the channels of which the log has records.

        Raises:
            LogError: the log did not answer.
        """
        import nats.errors

        every = subject(self.stream, kind)
        try:
            info = await self.js.stream_info(self.stream, subjects_filter=every)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise LogError(f"the log did not answer: {told(error)}") from None
        found: list[str] = []
        for name in info.state.subjects or ():
            with suppress(ValueError):  # another program's
                found.append(channel_of(name))
        return found

    async def dial(self, on_end: OnRefusal | None = None) -> CheckedClient:
        """Open another connection with the same options, one that does not reconnect.

        Args:
            on_end: told why it is of no more use: it has ended, or the server refuses something.

        Raises:
            LogError: no server can be reached, or none lets us in.
        """

        async def on_closed() -> None:
            if on_end is not None:
                await on_end("the connection ended")

        options = {**self._options, "allow_reconnect": False, "closed_cb": on_closed}
        return await dial(self._servers, options, on_end)

    async def aclose(self) -> None:
        """Close the connection. Idempotent."""
        await close_client(self.client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Log {self.stream} at {', '.join(map(shown, self._servers))}>"


async def connect_log(
    servers: str | Sequence[str],
    stream: str,
    *,
    settings: StreamSettings | None = None,
    create: bool = True,
    **options: Any,
) -> Log:
    """Connect to a stream of NATS JetStream; it is made where it does not exist.

    Args:
        servers: one URL or more, such as `nats://localhost:4222`.
        stream: name of the stream; it takes all subjects that begin with it and a dot.
        settings: of a stream that is made; one that exists is left as it is.
        create: make the stream where it does not exist; False refuses that.
        **options: of `nats.connect`: `user_credentials`, `token`, `user` and `password`, `tls`,
            `tls_hostname`, `nkeys_seed` and all others. They are never logged.

    Raises:
        ConfigurationError: `nats-py` is not installed, the name cannot be one of a stream, or the
            stream that is there acknowledges nothing, does not keep its records, or does not take
            the subjects.
        LogError: no server can be reached, or none lets us in, or it has no JetStream.
    """
    checked_stream(stream)
    servers = [servers] if isinstance(servers, str) else list(servers)
    client = await dial(servers, options)
    log = Log(client, stream, servers, options)
    try:
        await provide(log.js, stream, (settings or StreamSettings()) if create else None)
    except BaseException:
        await log.aclose()
        raise
    return log


async def provide(js: JetStreamContext, stream: str, settings: StreamSettings | None) -> bool:
    """Look at a stream, and make it where it does not exist; return whether it was made.

    Args:
        js: JetStream on some connection.
        stream: name of the stream.
        settings: how it is made; None refuses that.

    Raises:
        ConfigurationError: the stream that is there cannot be used.
        LogError: there is none, or the log did not answer.
    """
    import nats.errors
    import nats.js.errors
    from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

    made = False
    try:
        try:
            info = await js.stream_info(stream)
        except nats.js.errors.NotFoundError:
            if settings is None:
                raise LogError(f"the log has no stream {stream!r}") from None
            made = True
            info = await js.add_stream(StreamConfig(
                name=stream,
                subjects=[f"{stream}.>"],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                discard=DiscardPolicy.OLD,
                max_age=settings.max_age,
                max_bytes=settings.max_bytes,
                duplicate_window=min(settings.duplicate_window, settings.max_age),
                num_replicas=settings.replicas,
                allow_direct=True,
            ))  # fmt: skip
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise LogError(f"the log gives no stream {stream!r}: {told(error)}") from None
    _check(stream, info.config)
    return made


def _check(stream: str, config: StreamConfig) -> None:
    """Refuse a stream of somebody else's making that cannot be what the log is here.

    Raises:
        ConfigurationError: it is one.
    """
    if config.no_ack:
        raise ConfigurationError(
            f"the stream {stream!r} acknowledges nothing (no_ack); use another"
        )
    if config.retention not in (None, "limits"):
        raise ConfigurationError(
            f"the stream {stream!r} drops what its consumers have read, or nobody waits for "
            f"(retention={config.retention}); use another, or make it again with retention=limits"
        )
    if config.mirror is not None:
        return  # it has the subjects of another
    kinds: tuple[Kind, ...] = ("in", "gap", "out")
    wanted = [subject(stream, kind) for kind in kinds]
    if missing := [one for one in wanted if not any(_takes(p, one) for p in config.subjects or ())]:
        raise ConfigurationError(
            f"the stream {stream!r} does not take {', '.join(missing)}; "
            f"add them to its subjects, or {stream}.> for all three"
        )


def _takes(pattern: str, name: str) -> bool:
    """Return whether a pattern of subjects has all that another stands for."""
    tokens, wanted = pattern.split("."), name.split(".")
    if tokens[-1] == ">":
        tokens, wanted = tokens[:-1], wanted[: len(tokens) - 1]
    return len(tokens) == len(wanted) and all(
        token in ("*", other) for token, other in zip(tokens, wanted, strict=True)
    )
