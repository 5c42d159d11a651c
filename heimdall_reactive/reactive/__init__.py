"""What observers see: the bus, the subjects over it, and the read-only face of a store."""
