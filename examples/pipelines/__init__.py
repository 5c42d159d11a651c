"""Four computations, each as a plain Rx graph over a store, and as a Spark job over the log."""
