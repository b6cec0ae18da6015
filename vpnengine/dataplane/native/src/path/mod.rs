//! The worker threads and the way of a packet through them.
//!
//! One worker reads the TUN device and sends, the other reads the sockets and writes to the device. Sequence numbers
//! belong to the first, replay windows to the second, so that neither needs a lock. Both look things up in tables that
//! the engine swaps whole, and tell it what happens through a queue.

mod cores;
mod fit;
mod hold;
mod inbound;
mod outbound;
mod poll;
mod shared;
#[cfg(test)]
mod tests;
mod wire;
mod workers;

pub use hold::{PER_SELECTOR, SELECTORS};
pub use shared::Shared;
pub use workers::{Sockets, Workers};
