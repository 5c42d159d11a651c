"""A live table and a live plot in each framework: 200 rows by key, a thousand messages a second."""
