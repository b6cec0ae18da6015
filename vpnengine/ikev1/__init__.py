"""The IKEv1 protocol (RFC 2409) without I/O: told the time and the randomness, it says what to send."""
