"""A WebSocket as reactive state."""
