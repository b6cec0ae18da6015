//! The worker threads and the way of a packet through them.
