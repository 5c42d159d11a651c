"""Stores against servers of others."""
