//! ESP (RFC 4303): whole packets sealed and opened in place in the caller's memory, many at once.
//!
//! - [`Suite`]: the algorithms of an SA and every size that follows from them.
//! - [`SealKey`], [`OpenKey`]: expanded keys of one direction, shared freely between threads.
//! - [`Engine`]: one per thread; [`Engine::seal`] and [`Engine::open`] take a batch of packets of any SAs.
//! - [`Sequence`], [`ReplayWindow`]: the numbers of an outbound and of an inbound SA.
//!
//! Ciphers come from libipsec-mb, which works on many packets at once in the lanes of the vector registers, and from
//! OpenSSL where it or the processor's instructions are absent, for what it does not have, and for packets that are too
//! long for its lanes.

mod engine;
mod iv;
mod keys;
mod multibuffer;
#[cfg(feature = "extension-module")]
pub mod python;
mod sequence;
mod single;
mod suite;
#[cfg(test)]
mod tests;
mod trailer;
mod window;

pub use engine::{Backend, Engine, OpenJob, SealJob};
pub use keys::{OpenKey, SealKey};
pub use sequence::Sequence;
pub use suite::{Cipher, Integrity, Suite, SuiteError};
pub use trailer::{NEXT_DUMMY, NEXT_IPV4, NEXT_IPV6, Opened, Refusal};
pub use window::ReplayWindow;

/// Octets of SPI and sequence number (RFC 4303 section 2).
pub const HEADER: usize = 8;
