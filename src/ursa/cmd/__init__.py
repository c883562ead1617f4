"""One file per process: reads its configuration, constructs, runs. Nothing else constructs."""
