"""Stores in a browser, and what makes their download small."""
