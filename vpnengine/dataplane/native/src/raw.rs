//! Sockets of IP protocol 50, for ESP without UDP.
