//! Rules for the headers of inner packets, as functions on slices: ECN, DSCP, TTL, DF, MTU, MSS, fragments.
//!
//! Nothing here panics or changes anything on packets that are no IP packets: each function says what it does then.

pub mod ecn;
pub mod fragment;
pub mod icmp;
pub mod mss;
pub mod mtu;
pub mod walk;

#[cfg(test)]
mod tests;

use crate::offload::checksum;
use crate::offload::headers::be16;

/// Smallest MTU that IPv6 works with (RFC 8200 section 5).
pub const IPV6_MIN_MTU: usize = 1280;
/// Smallest MTU of IPv4 (RFC 791 section 3.1).
pub const IPV4_MIN_MTU: usize = 68;

/// 4 or 6, None if the fixed header is not all there.
pub fn version(packet: &[u8]) -> Option<u8> {
    let version = packet.first()? >> 4;
    let least = match version {
        4 if packet[0] & 15 >= 5 => usize::from(packet[0] & 15) * 4,
        6 => 40,
        _ => return None,
    };
    (packet.len() >= least).then_some(version)
}

/// Type of service (IPv4) or traffic class (IPv6): DSCP in the upper six bits, ECN in the lower two (RFC 2474, 3168).
pub fn tos(packet: &[u8]) -> Option<u8> {
    match version(packet)? {
        4 => Some(packet[1]),
        _ => Some(packet[0] << 4 | packet[1] >> 4),
    }
}

/// Put another type of service or traffic class into the packet; the IPv4 checksum follows (RFC 1624).
pub fn set_tos(packet: &mut [u8], tos: u8) {
    match version(packet) {
        Some(4) => change_word(packet, 0, |word| (word & 0xff00) | u16::from(tos)),
        Some(6) => {
            packet[0] = packet[0] & 0xf0 | tos >> 4;
            packet[1] = packet[1] & 0x0f | tos << 4;
        }
        _ => {}
    }
}

/// The outer header's octet on encapsulation: ECN by RFC 6040 section 4.1 (normal mode), DSCP copied or zero (RFC 4301
/// section 5.1.2: copying may tell an observer about the traffic). Zero for what is no IP packet.
pub fn outer_tos(packet: &[u8], copy_dscp: bool) -> u8 {
    let inner = tos(packet).unwrap_or(0);
    let dscp = if copy_dscp { inner & !ecn::MASK } else { 0 };
    dscp | ecn::encapsulate(inner & ecn::MASK)
}

/// Carry what the outer header says about congestion into a packet that came out of a tunnel (RFC 6040 section 4.2);
/// DSCP stays as it is. False if the packet is to be dropped.
pub fn take_outer_tos(packet: &mut [u8], outer: u8) -> bool {
    let Some(inner) = tos(packet) else {
        return true;
    };
    match ecn::decapsulate(outer & ecn::MASK, inner & ecn::MASK) {
        None => false,
        Some(new) => {
            if new != inner & ecn::MASK {
                set_tos(packet, inner & !ecn::MASK | new);
            }
            true
        }
    }
}

/// Count the tunnel as a hop (RFC 4301 section 5.1.2.1, note 3). Not for packets that the kernel has routed into the
/// TUN device: it has counted that hop. False if the packet has no hop left.
pub fn decrement_ttl(packet: &mut [u8]) -> bool {
    match version(packet) {
        Some(4) if packet[8] > 1 => change_word(packet, 8, |word| word - 0x100),
        Some(6) if packet[7] > 1 => packet[7] -= 1,
        _ => return false,
    }
    true
}

/// Whether the outer IPv4 header has DF, or the outer packet may not be fragmented (RFC 4301 section 8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Df {
    /// As the inner packet has it; IPv6 packets count as having it.
    #[default]
    Copy,
    /// Always set.
    Set,
    /// Always clear.
    Clear,
}

impl Df {
    /// What the rule means for a packet.
    pub fn outer(self, packet: &[u8]) -> bool {
        match self {
            Self::Copy => dont_fragment(packet),
            Self::Set => true,
            Self::Clear => false,
        }
    }
}

/// Which segment size TCP ends may announce at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mss {
    /// As they like.
    Off,
    /// What fits the tunnel.
    #[default]
    Fitting,
    /// This.
    Fixed(u16),
}

/// A peer's rules for the headers outside and inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether observers outside see the DSCP of what is inside.
    pub copy_dscp: bool,
    /// DF outside.
    pub df: Df,
    /// IPv4 packets that may be fragmented are so outside, as ESP packets, and not before ESP.
    pub fragment_after: bool,
    /// What becomes of large segment sizes.
    pub mss: Mss,
    /// The TUN device's own MTU, or 0: nothing larger comes from there.
    pub device_mtu: usize,
}

impl Rules {
    /// Lower the segment size in a TCP packet with SYN so that it suits inner packets of `mtu` octets.
    pub fn clamp(&self, packet: &mut [u8], mtu: usize) {
        let limit = match self.mss {
            Mss::Off => return,
            Mss::Fixed(limit) => limit,
            Mss::Fitting => {
                let mtu = if self.device_mtu == 0 {
                    mtu
                } else {
                    mtu.min(self.device_mtu)
                };
                mss::fitting(mtu, packet.first().is_some_and(|first| first >> 4 == 6))
            }
        };
        mss::clamp(packet, limit);
    }
}

/// True if routers may not fragment the packet: IPv4 with DF, or IPv6.
pub fn dont_fragment(packet: &[u8]) -> bool {
    match version(packet) {
        Some(4) => packet[6] & 0x40 != 0,
        Some(_) => true,
        None => false,
    }
}

/// Change the 16-bit word at an even `at` of an IPv4 header, and its checksum.
fn change_word(packet: &mut [u8], at: usize, change: impl FnOnce(u16) -> u16) {
    let old = [packet[at], packet[at + 1]];
    let new = change(be16(packet, at)).to_be_bytes();
    let field = checksum::update([packet[10], packet[11]], old, new);
    packet[at..at + 2].copy_from_slice(&new);
    packet[10..12].copy_from_slice(&field);
}
