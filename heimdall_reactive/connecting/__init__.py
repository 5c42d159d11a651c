"""What dials, writes and reconnects, on one event loop; it knows nothing of Rx."""
