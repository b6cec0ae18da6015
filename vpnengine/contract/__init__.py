"""What crosses the engine's border: configuration, control requests, status and events.

Everything here is a versioned pydantic model, so that any program can speak to
the engine with JSON alone. Nothing in this package performs I/O.
"""
