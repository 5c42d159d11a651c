"""The bindings, each in the real event loop of its framework."""
