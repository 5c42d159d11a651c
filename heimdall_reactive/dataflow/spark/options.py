"""The options that a user gave to Spark: text, whatever the case of their names."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from heimdall_reactive.base.exceptions import ConfigurationError
from heimdall_reactive.dataflow.login import login_of
from heimdall_reactive.dataflow.records import checked_stream

__all__ = ["LogOptions", "Secret", "SparkOptions"]

# What Spark itself passes on to a source or sink beside the user's own options.
SPARKS_OWN: Final = frozenset(
    ("path", "checkpointlocation", "queryname", "outputmode", "trigger", "basepath")
)
# A secret in an option is in the plans, the event log and the web interface of Spark.
SECRETS: Final = ("accesstoken", "token", "password", "authorization")


class SparkOptions:
    """Options as they were given, read one at a time; a name that nobody knows is refused."""

    def __init__(self, options: Mapping[str, str], known: Collection[str]) -> None:
        self._values = {name.lower(): str(value) for name, value in options.items()}
        for name in SECRETS:
            if name in self._values:
                raise ConfigurationError(
                    f"no secret may be an option, Spark shows them: instead of {name!r} give "
                    "accessTokenEnv, the name of an environment variable, or accessTokenFile"
                )
        strange = self._values.keys() - {name.lower() for name in known} - SPARKS_OWN
        if strange:
            names = ", ".join(sorted(strange))
            raise ConfigurationError(f"unknown options: {names}; known: {', '.join(sorted(known))}")

    def text(self, name: str, default: str | None = None) -> str:
        """Return an option; one without a default must be given."""
        value = self._values.get(name.lower(), default)
        if value is None:
            raise ConfigurationError(f"the option {name!r} is missing")
        return value

    def names(self, name: str) -> tuple[str, ...]:
        """Return the words of a list with commas."""
        return tuple(word for part in self.text(name, "").split(",") if (word := part.strip()))

    def whole(self, name: str, default: int, least: int = 1) -> int:
        """Return a whole number."""
        text = self.text(name, str(default))
        if not text.strip().isdecimal() or int(text) < least:
            raise ConfigurationError(f"{name}={text!r}: a whole number of {least} or more is asked")
        return int(text)

    def seconds(self, name: str, default: float) -> float:
        """Return a time in seconds, more than 0."""
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf"):
            raise ConfigurationError(f"{name}={text!r}: seconds above 0 are asked")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return `true` or `false`."""
        return self.choice(name, str(default).lower(), ("true", "false")) == "true"

    def choice(self, name: str, default: str, of: tuple[str, ...]) -> str:
        """Return one of some words, in their own case."""
        text = self.text(name, default)
        for word in of:
            if word.lower() == text.lower():
                return word
        raise ConfigurationError(f"{name}={text!r}: one of {', '.join(of)} is asked")


@dataclass(frozen=True)
class Secret:
    """Where a secret is to be found, on the machine that needs it.

    Attributes:
        env: name of an environment variable.
        file: path of a file that holds it.
        what: it is called.
    """

    env: str = ""
    file: str = ""
    what: str = "access token"

    @classmethod
    def of(cls, given: SparkOptions, what: str = "access token") -> Secret:
        """Read `accessTokenEnv` and `accessTokenFile`, or those of another secret."""
        name = "accessToken" if what == "access token" else what
        return cls(given.text(f"{name}Env", ""), given.text(f"{name}File", ""), what)

    def read(self) -> str | None:
        """Return the secret, None where none was asked for.

        Raises:
            ConfigurationError: it is not where it should be, on this machine.
        """
        if self.env:
            token = os.environ.get(self.env, "")
            place = f"the environment variable {self.env} (on executors: spark.executorEnv)"
        elif self.file:
            path = Path(self.file)
            token = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
            place = f"the file {self.file}"
        else:
            return None
        if not token:
            raise ConfigurationError(f"there is no {self.what} in {place} on this machine")
        return token


@dataclass(frozen=True)
class LogOptions:
    """How the log is reached.

    Attributes:
        servers: URLs of the servers, without secrets.
        stream: name of the stream.
        secret: where the token of the log is.
        user: its name, empty for none.
        password: where the user's password is.
        files: paths of the CA, certificate, key, credentials and nkey, by their names in
            `login_of`; empty for none.
        timeout: seconds without any progress until a read or write fails.
        window: records that are under way at a time.
    """

    servers: tuple[str, ...]
    stream: str
    secret: Secret
    user: str
    password: Secret
    files: Mapping[str, str]
    timeout: float
    window: int

    NAMES = (
        "servers", "stream", "accessTokenEnv", "accessTokenFile", "user", "passwordEnv",
        "passwordFile", "caFile", "certificateFile", "keyFile", "credentialsFile", "nkeyFile",
        "timeout", "window",
    )  # fmt: skip

    @classmethod
    def of(cls, given: SparkOptions) -> LogOptions:
        """Read what is said of the log."""
        servers = given.names("servers") or ("nats://127.0.0.1:4222",)
        for url in servers:
            if "@" in urlsplit(url if "://" in url else f"nats://{url}").netloc:
                raise ConfigurationError(
                    "the URLs in servers may hold no user, password or token, Spark shows them; "
                    "give accessTokenEnv or accessTokenFile, user with passwordEnv or "
                    "passwordFile, credentialsFile, or nkeyFile"
                )
        stream = checked_stream(given.text("stream"))
        return cls(
            servers, stream, Secret.of(given), given.text("user", ""),
            Secret.of(given, "password"),
            {name: given.text(f"{name}File", "")
             for name in ("ca", "certificate", "key", "credentials", "nkey")},
            given.seconds("timeout", 30.0), given.whole("window", 1000),
        )  # fmt: skip

    def login(self) -> dict[str, Any]:
        """Return the options of `nats.connect`, from files and variables of this machine.

        Raises:
            ConfigurationError: something is not where it should be.
        """
        return login_of(
            **self.files, token=self.secret.read(), user=self.user or None,
            password=self.password.read(),
        )  # fmt: skip
