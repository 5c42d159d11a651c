"""Certificates for the measurements over TLS, made in a temporary folder."""

from __future__ import annotations

import functools
import ssl
import tempfile
from pathlib import Path

__all__ = ["certificate", "client_context", "server_context"]

_folders: list[tempfile.TemporaryDirectory[str]] = []  # kept until the process ends


@functools.cache
def certificate() -> Path:
    """Make a certificate of this machine, with its key; beside it `.crt`, the authority."""
    import trustme

    _folders.append(tempfile.TemporaryDirectory(prefix="tls-"))
    path = Path(_folders[0].name) / "peer.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(path.with_suffix(".crt")))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


def server_context(path: str) -> ssl.SSLContext:
    """Make the context of the peer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@functools.cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate().with_suffix(".crt")))


def client_context(url: str) -> ssl.SSLContext | None:
    """Return the context that a URL needs, if any: one for all who measure, who verify by it."""
    return _context() if url.startswith("wss:") else None
