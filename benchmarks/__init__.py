"""Programs that measure the library and hold it to its promises; each runs by `python -m`."""
