"""Programs for frameworks that need no adapter; the pages of `docs` say how to run each."""
