"""Inflate whole compressed messages (RFC 7692), with a bound for what comes out."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

from websockets.extensions.permessage_deflate import PerMessageDeflate

__all__ = ["Inflater", "TooBig", "packed_limit"]

TAIL: Final = b"\x00\x00\xff\xff"  # what the sender leaves out (RFC 7692 section 7.2.1)


class TooBig(Exception):
    """A message is larger than it may be."""


def packed_limit(limit: int) -> int:
    """Return how many bytes a compressed message of at most `limit` bytes may have.

    What cannot be compressed becomes longer: the bound is that of zlib's `deflateBound()` with the
    least memory, and some bytes for the flush.
    """
    return limit + (limit >> 4) + 1024


class Inflater:
    """What inflates the messages of one connection.

    The extension of `websockets` does the same, but with its frames around it. Where messages
    share their context, the two share the decoder: fragmented messages are the extension's.

    Args:
        extension: as it was negotiated.
        limit: bytes of the largest message.
    """

    def __init__(self, extension: PerMessageDeflate, limit: int) -> None:
        self._extension = extension
        self._limit = limit

    @classmethod
    def of(cls, extensions: Sequence[Any], limit: int) -> Inflater | None:
        """Return one for the negotiated extensions, None where nothing is compressed."""
        for extension in extensions:
            if isinstance(extension, PerMessageDeflate):
                return cls(extension, limit)
        return None

    def __call__(self, data: bytes) -> bytes:
        """Return the message.

        Raises:
            TooBig: it is larger than the limit; it was inflated no further than that.
            zlib.error: it is not a compressed message.
        """
        extension = self._extension
        if extension.remote_no_context_takeover:
            decoder = zlib.decompressobj(wbits=-extension.remote_max_window_bits)
        else:
            decoder = extension.decoder
        message = decoder.decompress(data + TAIL, self._limit + 1)
        if len(message) > self._limit:
            raise TooBig
        return message
