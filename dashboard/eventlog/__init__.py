"""Events: the writer, the log, the live status."""
