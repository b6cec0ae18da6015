//! Where the upper-layer header of a packet is, behind IPv4 options or IPv6 extension headers.

use super::version;
use crate::offload::headers::be16;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
/// More than any sender has reason for (RFC 8200 section 4.1).
const MAX_HEADERS: usize = 16;

/// The upper-layer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    /// Its IP protocol number.
    pub protocol: u8,
    /// Where it begins; at most the packet's length.
    pub at: usize,
    /// The packet is a fragment, the first one too.
    pub fragment: bool,
    /// The packet is a fragment without that header: `at` is where its part begins.
    pub later_fragment: bool,
}

/// None for what is no IP packet, or ends within its headers.
pub fn upper(packet: &[u8]) -> Option<Upper> {
    if version(packet)? == 4 {
        let word = be16(packet, 6);
        let at = usize::from(packet[0] & 15) * 4;
        let later_fragment = word & 0x1fff != 0;
        return Some(Upper {
            protocol: packet[9],
            at,
            fragment: word & 0x3fff != 0,
            later_fragment,
        });
    }
    let mut out = Upper {
        protocol: packet[6],
        at: 40,
        fragment: false,
        later_fragment: false,
    };
    for _ in 0..MAX_HEADERS {
        let header = |length: usize| packet.get(out.at..out.at + length);
        let length = match out.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY => (usize::from(header(2)?[1]) + 1) * 8,
            AUTHENTICATION => (usize::from(header(2)?[1]) + 2) * 4,
            FRAGMENT => {
                let word = be16(header(8)?, 2);
                out.fragment |= word & 0xfff9 != 0;
                out.later_fragment = word & 0xfff8 != 0;
                8
            }
            _ => return Some(out),
        };
        let next = header(length)?[0];
        (out.protocol, out.at) = (next, out.at + length);
        if out.later_fragment {
            return Some(out);
        }
    }
    None
}
