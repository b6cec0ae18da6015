//! The native userspace data path of Culvert: TUN, ESP and UDP in worker threads.

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

pub mod counters;
pub mod esp;
pub mod events;
pub mod flow;
pub mod fragments;
pub mod inner;
pub mod offload;
pub mod path;
pub mod raw;
pub mod sa;
pub mod table;
pub mod tun;
pub mod udp;

#[cfg(feature = "extension-module")]
mod policies;
#[cfg(feature = "extension-module")]
mod python;
