"""Makes the pictures of the documentation, one module for each framework."""
