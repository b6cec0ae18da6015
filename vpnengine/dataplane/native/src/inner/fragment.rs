//! IPv4 fragments (RFC 791 section 3.2), made before ESP; IPv6 packets are never fragmented on the way (RFC 8200).

use super::version;
use crate::offload::checksum;
use crate::offload::headers::be16;

const MORE: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
/// Bit of an option's type: it goes into every fragment.
const COPIED: u8 = 0x80;

/// How a packet becomes `count` fragments.
#[derive(Debug)]
pub struct Fragments<'a> {
    packet: &'a [u8],
    first_header: usize,
    /// The header of all but the first, without the options that are not copied.
    later: [u8; 60],
    later_header: usize,
    first: usize,
    each: usize,
    count: usize,
}

impl<'a> Fragments<'a> {
    /// Fragments of at most `mtu` octets. None if the packet may not be fragmented (DF, IPv6), is no IPv4 packet whose
    /// length agrees, or if `mtu` leaves no room for payload. One that fits becomes one fragment, itself.
    pub fn new(packet: &'a [u8], mtu: usize) -> Option<Self> {
        if version(packet)? != 4 || usize::from(be16(packet, 2)) != packet.len() {
            return None;
        }
        let first_header = usize::from(packet[0] & 15) * 4;
        let (later, later_header) = later_header(&packet[..first_header]);
        let whole = Self {
            packet,
            first_header,
            later,
            later_header,
            first: 0,
            each: 0,
            count: 1,
        };
        if packet.len() <= mtu {
            return Some(whole);
        }
        let room = |header: usize| mtu.saturating_sub(header) & !7;
        let (first, each) = (room(first_header), room(later_header));
        if packet[6] & 0x40 != 0 || first == 0 || each == 0 {
            return None;
        }
        let count = 1 + (packet.len() - first_header - first).div_ceil(each);
        Some(Self {
            first,
            each,
            count,
            ..whole
        })
    }

    /// Number of fragments, at least 1.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Octets of the longest fragment.
    pub fn max_len(&self) -> usize {
        if self.count == 1 {
            self.packet.len()
        } else {
            (self.first_header + self.first).max(self.later_header + self.each)
        }
    }

    /// Write fragment `index` to the start of `out`; its length is returned.
    ///
    /// Panics if there is no such fragment, or `out` is too short ([`Fragments::max_len`] is enough).
    pub fn write(&self, index: usize, out: &mut [u8]) -> usize {
        assert!(index < self.count, "no such fragment");
        if self.count == 1 {
            out[..self.packet.len()].copy_from_slice(self.packet);
            return self.packet.len();
        }
        let payload = &self.packet[self.first_header..];
        let (header, from, size) = match index {
            0 => (&self.packet[..self.first_header], 0, self.first),
            _ => (
                &self.later[..self.later_header],
                self.first + (index - 1) * self.each,
                self.each,
            ),
        };
        let part = &payload[from..(from + size).min(payload.len())];
        let length = header.len() + part.len();
        let out = &mut out[..length];
        out[..header.len()].copy_from_slice(header);
        out[header.len()..].copy_from_slice(part);
        let before = be16(self.packet, 6);
        let more = if index + 1 < self.count {
            MORE
        } else {
            before & MORE
        };
        // A fragment may be fragmented again: offsets add.
        let offset = (before & OFFSET).wrapping_add((from / 8) as u16) & OFFSET;
        out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        out[6..8].copy_from_slice(&(before & 0x8000 | more | offset).to_be_bytes());
        out[10..12].fill(0);
        let field = checksum::field(checksum::sum(&out[..header.len()]));
        out[10..12].copy_from_slice(&field);
        length
    }
}

/// The header with the copied options alone, padded to words.
fn later_header(header: &[u8]) -> ([u8; 60], usize) {
    let mut out = [0; 60];
    out[..20].copy_from_slice(&header[..20]);
    let mut length = 20;
    let mut rest = &header[20..];
    while let [kind, behind @ ..] = rest {
        let size = match (kind, behind.first()) {
            (0, _) => break,
            (1, _) => 1,
            (_, Some(&size)) if size >= 2 && usize::from(size) <= rest.len() => usize::from(size),
            _ => break,
        };
        if kind & COPIED != 0 {
            out[length..length + size].copy_from_slice(&rest[..size]);
            length += size;
        }
        rest = &rest[size..];
    }
    length = length.next_multiple_of(4);
    out[0] = 0x40 | (length / 4) as u8;
    (out, length)
}
