"""A network of one's own: two namespaces, a router between them, and what goes wrong there."""
