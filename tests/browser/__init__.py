"""Stores under Pyodide."""
