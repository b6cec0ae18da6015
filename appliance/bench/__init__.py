"""Benchmarks over the whole product, with real peers."""
