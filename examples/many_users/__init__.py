"""Web applications with many visitors: one public feed, and a store for the token of each."""
