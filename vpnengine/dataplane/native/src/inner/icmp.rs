//! Tell the sender of an inner packet that it is too large for the tunnel.
//!
//! IPv4: destination unreachable, fragmentation needed (RFC 792, RFC 1191 section 4). IPv6: packet too big (RFC 4443
//! section 3.2). The rate limit is the caller's.

use std::net::IpAddr;

use super::walk::upper;
use super::{IPV4_MIN_MTU, IPV6_MIN_MTU, version};
use crate::offload::checksum;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const TTL: u8 = 64;
/// How much of an answer is allowed (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c)).
const MAX_V4: usize = 576;
const MAX_V6: usize = IPV6_MIN_MTU;
/// ICMP messages that are no errors, so that errors may be told about them (RFC 1122 section 3.2.2).
const QUERIES: [u8; 10] = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18];

/// The answer to `packet`, a whole IP packet to be written to the TUN device. It comes from the packet's destination,
/// because that lies behind the tunnel, where the host's reverse path filter expects it.
///
/// None where there may be none: to ICMP errors, to later fragments, to IPv4 broadcast and multicast, to senders that
/// are no single host (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)); and to IPv6 packets of up to 1280 octets,
/// which every path has to carry: those have to be fragmented outside.
pub fn too_big(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
    let upper = upper(packet)?;
    if upper.later_fragment {
        return None;
    }
    let kind = packet.get(upper.at).copied();
    if version(packet)? == 4 {
        let error = upper.protocol == ICMP && kind.is_none_or(|kind| !QUERIES.contains(&kind));
        return if error { None } else { too_big_v4(packet, mtu) };
    }
    let error = upper.protocol == ICMPV6 && kind.is_none_or(|kind| kind < 128 || kind == 137);
    if error { None } else { too_big_v6(packet, mtu) }
}

fn too_big_v4(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
    let octets = |at: usize| [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]];
    let (source, destination) = (octets(12), octets(16));
    let host = |address: [u8; 4]| address[0] != 0 && address[0] != 127 && address[0] < 224;
    if !host(source) || !host(destination) {
        return None;
    }
    let quoted = &packet[..packet.len().min(MAX_V4 - 28)];
    let length = 28 + quoted.len();
    let mut out = Vec::with_capacity(length);
    // Precedence 6, internetwork control (RFC 1812 section 4.3.2.5).
    out.extend([0x45, 0xc0]);
    out.extend((length as u16).to_be_bytes());
    out.extend([0, 0, 0, 0, TTL, ICMP, 0, 0]);
    out.extend(destination);
    out.extend(source);
    let field = checksum::field(checksum::sum(&out));
    out[10..12].copy_from_slice(&field);
    out.extend([3, 4, 0, 0, 0, 0]);
    out.extend((mtu.clamp(IPV4_MIN_MTU, 65_535) as u16).to_be_bytes());
    out.extend(quoted);
    let field = checksum::field(checksum::sum(&out[20..]));
    out[22..24].copy_from_slice(&field);
    Some(out)
}

fn too_big_v6(packet: &[u8], mtu: usize) -> Option<Vec<u8>> {
    let source: [u8; 16] = packet[8..24].try_into().ok()?;
    let mut answerer: [u8; 16] = packet[24..40].try_into().ok()?;
    if source == [0; 16] || source[0] == 0xff || packet.len() <= IPV6_MIN_MTU {
        return None;
    }
    if answerer[0] == 0xff {
        // Too big is the one error that multicast may cause; a group cannot be its sender.
        answerer = source;
    }
    let quoted = &packet[..packet.len().min(MAX_V6 - 48)];
    let length = 8 + quoted.len();
    let mut out = Vec::with_capacity(40 + length);
    out.extend([0x60, 0, 0, 0]);
    out.extend((length as u16).to_be_bytes());
    out.extend([ICMPV6, TTL]);
    out.extend(answerer);
    out.extend(source);
    out.extend([2, 0, 0, 0]);
    out.extend((mtu.max(IPV6_MIN_MTU) as u32).to_be_bytes());
    out.extend(quoted);
    let pseudo = checksum::pseudo(IpAddr::from(answerer), IpAddr::from(source), ICMPV6, length);
    let field = checksum::field(pseudo + checksum::sum(&out[40..]));
    out[42..44].copy_from_slice(&field);
    Some(out)
}
