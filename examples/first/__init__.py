"""The smallest whole application for each framework: the first block of its page in `docs/ui`."""
