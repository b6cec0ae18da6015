"""ESP (RFC 4303) in pure Python: the reference transform and the replay window."""
