//! Explicit congestion notification through a tunnel (RFC 6040, which replaces the rules of RFC 4301 and RFC 3168).

/// The bits of ECN in a type of service or traffic class octet.
pub const MASK: u8 = 3;
/// The sender knows nothing of ECN.
pub const NOT_ECT: u8 = 0;
/// ECN-capable, codepoint 1.
pub const ECT_1: u8 = 1;
/// ECN-capable, codepoint 0.
pub const ECT_0: u8 = 2;
/// Congestion experienced.
pub const CE: u8 = 3;

/// The outer codepoint (section 4.1, normal mode): the inner one.
pub fn encapsulate(inner: u8) -> u8 {
    inner & MASK
}

/// The codepoint of the packet that leaves the tunnel (section 4.2, figure 4); None: drop it, since a router has marked
/// a packet whose sender would not understand.
pub fn decapsulate(outer: u8, inner: u8) -> Option<u8> {
    match (inner & MASK, outer & MASK) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (CE, _) | (_, CE) => Some(CE),
        (_, ECT_1) => Some(ECT_1),
        (inner, _) => Some(inner),
    }
}
