//! ESP in UDP (RFC 3948): many datagrams with one system call.
