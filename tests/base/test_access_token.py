"""`AccessToken`: what it takes for a time, and what it shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from heimdall_reactive import AccessToken, ConfigurationError


@pytest.mark.parametrize("when", [datetime(2026, 1, 1), "soon", float("nan")])
def test_a_token_needs_a_time_of_the_world(when: Any) -> None:
    with pytest.raises(ConfigurationError, match="AccessToken needs"):
        AccessToken("t", when)


def test_a_token_shows_nothing_of_itself() -> None:
    token = AccessToken("s3cret", datetime.now(UTC) + timedelta(hours=1))
    assert "s3cret" not in f"{token!r} {token}"
    assert AccessToken("t", 10).expires_at == 10.0
