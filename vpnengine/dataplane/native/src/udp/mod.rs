//! Batches of datagrams: many per system call, many per segment offload, each with both of its addresses.
//!
//! [`RecvBatch`] and [`SendBatch`] also serve raw sockets, see [`crate::raw`].

mod address;
mod choice;
mod control;
mod errors;
mod path_mtu;
mod recv;
mod send;
mod socket;
#[cfg(test)]
mod tests;

pub use errors::{PathError, PathErrorKind};
pub use path_mtu::PathMtu;
pub use recv::{Datagram, RecvBatch};
pub use send::{Outgoing, SendBatch, SendReport};
pub use socket::{Fragmenting, Socket};

/// Messages in one system call at most.
pub const MAX_MESSAGES: usize = 64;
/// Octets of payload in one UDP datagram over IPv4 at most, segmented or not.
pub const MAX_PAYLOAD: usize = 65_507;
/// Segments in one message; Linux before 6.10 takes no more.
pub const MAX_SEGMENTS: usize = 64;
