"""The access token of a command."""

from __future__ import annotations

import argparse
import os

from pydantic import SecretStr

from .output import UsageError

__all__ = ["given_token"]


def given_token(options: argparse.Namespace) -> SecretStr | None:
    """Return the token that `--token` or `--token-env` gives.

    Raises:
        UsageError: the environment variable is not set, or the token is empty.
    """
    name: str | None = options.token_env
    token: str | None = options.token if name is None else os.environ.get(name)
    if token is None:
        if name is not None:
            raise UsageError(f"the environment variable {name!r} is not set")
        return None
    if not token.strip():
        raise UsageError("the access token is empty")
    return SecretStr(token.strip())
