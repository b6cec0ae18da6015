//! What workers look up: SAs by SPI, policies by longest prefix. Swapped whole, read without a lock.
