"""The asyncio shell around the engine: sockets, timers, reconcile, control socket, event journal."""
