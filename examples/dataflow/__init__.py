"""The dataflow wing in small programs that end by themselves."""
