"""The dataflow wing: a real log server and a real engine, or a skip that says what is missing."""
