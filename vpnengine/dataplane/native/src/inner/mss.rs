//! Clamp the maximum segment size that two TCP ends announce, so that their segments fit the tunnel.
//!
//! The option: RFC 9293 section 3.7.1. It stands in segments with SYN only.

use super::walk::upper;
use crate::offload::checksum;
use crate::offload::headers::{TCP, be16};

const SYN: u8 = 0x02;
const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const TCP_HEADER: usize = 20;

/// The segment size that fits inner packets of `mtu` octets, without options (RFC 6691).
pub fn fitting(mtu: usize, v6: bool) -> u16 {
    let headers = TCP_HEADER + if v6 { 40 } else { 20 };
    mtu.saturating_sub(headers).clamp(1, 65_535) as u16
}

/// Lower the announced size to `limit` if it is larger; the checksum, which has to be complete, follows. True if the
/// packet was changed. Not touched: what is no TCP segment with SYN, or has no such option.
pub fn clamp(packet: &mut [u8], limit: u16) -> bool {
    let Some(at) = option(packet) else {
        return false;
    };
    if be16(packet, at.value) <= limit {
        return false;
    }
    let old = [packet[at.value], packet[at.value + 1]];
    let new = limit.to_be_bytes();
    let field = [packet[at.checksum], packet[at.checksum + 1]];
    // Behind an odd number of octets the value lies across two words; swapped, it adds up the same (RFC 1071 (2)(B)).
    let odd = (at.value - at.checksum) % 2 == 1;
    let turn = |[a, b]: [u8; 2]| if odd { [b, a] } else { [a, b] };
    let updated = checksum::update(field, turn(old), turn(new));
    packet[at.value..at.value + 2].copy_from_slice(&new);
    packet[at.checksum..at.checksum + 2].copy_from_slice(&updated);
    true
}

struct Place {
    value: usize,
    checksum: usize,
}

fn option(packet: &[u8]) -> Option<Place> {
    let upper = upper(packet)?;
    if upper.protocol != TCP || upper.later_fragment {
        return None;
    }
    let tcp = packet.get(upper.at..)?;
    if tcp.len() < TCP_HEADER || tcp[13] & SYN == 0 {
        return None;
    }
    let end = usize::from(tcp[12] >> 4) * 4;
    let options = tcp.get(..end)?;
    let mut at = TCP_HEADER;
    while at < end {
        match options[at] {
            END => return None,
            NOP => at += 1,
            MSS if options.get(at + 1) == Some(&4) && at + 4 <= end => {
                return Some(Place {
                    value: upper.at + at + 2,
                    checksum: upper.at + 16,
                });
            }
            _ => at += usize::from(*options.get(at + 1)?).max(2),
        }
    }
    None
}
