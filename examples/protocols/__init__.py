"""Clients of services that say more than messages, each in one file."""
