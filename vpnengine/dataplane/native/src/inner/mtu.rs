//! How large an inner packet may be, so that its ESP packet fits the path (RFC 4303 section 2, RFC 4301 section 8.2).

use crate::esp::Suite;

/// Octets that the encapsulation adds around what the suite seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// The outer addresses are IPv6.
    pub v6: bool,
    /// ESP in UDP (RFC 3948).
    pub udp: bool,
}

impl Outer {
    /// Octets of the outer IP header and, if there is one, the UDP header.
    pub fn headers(self) -> usize {
        (if self.v6 { 40 } else { 20 }) + if self.udp { 8 } else { 0 }
    }
}

/// The largest inner packet whose ESP packet has at most `path` octets; 0 if none has.
pub fn inner_mtu(path: usize, outer: Outer, suite: Suite) -> usize {
    let room = path.min(65_535).saturating_sub(outer.headers());
    // Padding rounds up to the block, so that the answer lies within one block below this.
    let mut inner = room.saturating_sub(suite.sealed_len(0));
    inner += suite.block();
    while inner > 0 && suite.sealed_len(inner) > room {
        inner -= 1;
    }
    inner
}
