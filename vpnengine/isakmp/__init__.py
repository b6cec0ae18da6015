"""The ISAKMP wire format (RFC 2408, RFC 2407): parse and build, total over every byte string."""
