"""Named topologies in network namespaces, with real peers: for trying by hand, for the demo, and for the tests."""
