"""The soak: stores, random faults, and every promise held to account."""
