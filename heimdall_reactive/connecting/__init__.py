"""What dials, writes and heals, on one event loop; it knows nothing of Rx."""
