"""Protocols that the library speaks itself; `SessionProtocol` is what you override for others."""
