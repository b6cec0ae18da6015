//! The native userspace data path of Culvert: TUN, ESP and UDP in worker threads.

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

pub mod esp;
pub mod inner;
pub mod offload;
pub mod path;
pub mod raw;
pub mod table;
pub mod tun;
pub mod udp;

use pyo3::prelude::*;

/// The module that `vpnengine.dataplane.native` wraps.
#[pymodule(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    #[cfg(feature = "extension-module")]
    esp::python::register(module)?;
    module.add("VERSION", env!("CARGO_PKG_VERSION"))
}
