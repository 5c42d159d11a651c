"""The programs of docs/cookbook.md, each whole; `market.py` is the server they talk to."""
