//! ESP (RFC 4303): ciphers in batches, encapsulation, sequence numbers and replay windows.
