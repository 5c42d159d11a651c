"""Small programs, one for each way to use the library; each starts its own server."""
