//! The headers of an inner packet, as far as merging and cutting need them.

use super::checksum;

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

/// TCP flags (RFC 9293 section 3.1).
pub mod flag {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// Acknowledgment is significant.
    pub const ACK: u8 = 0x10;
    /// Congestion window reduced (RFC 3168).
    pub const CWR: u8 = 0x80;
}

/// The two octets at `at`, as a number.
#[inline]
pub fn be16(data: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([data[at], data[at + 1]])
}

/// The four octets at `at`, as a number.
#[inline]
pub fn be32(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]])
}

/// A packet whose TCP or UDP header follows a plain IP header; what is not so is never merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// IPv6.
    pub v6: bool,
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// Where the TCP or UDP header begins.
    pub l4: usize,
    /// Where the payload begins.
    pub payload: usize,
}

impl Transport {
    /// None for fragments, IPv4 options, IPv6 extension headers, other protocols and lengths that do not agree.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (v6, l4, protocol) = match packet.first()? {
            // No options; neither “more fragments” nor an offset; the header's checksum is right.
            0x45 if packet.len() >= 20
                && usize::from(be16(packet, 2)) == packet.len()
                && be16(packet, 6) & 0x3fff == 0
                && checksum::whole(checksum::sum(&packet[..20])) =>
            {
                (false, 20, packet[9])
            }
            0x60..=0x6f
                if packet.len() >= 40 && usize::from(be16(packet, 4)) + 40 == packet.len() =>
            {
                (true, 40, packet[6])
            }
            _ => return None,
        };
        let segment = &packet[l4..];
        let header = match protocol {
            TCP if segment.len() >= 20 => usize::from(segment[12] >> 4) * 4,
            UDP if segment.len() >= 8 && usize::from(be16(segment, 4)) == segment.len() => 8,
            _ => return None,
        };
        let fits = header <= segment.len() && (protocol == UDP || header >= 20);
        fits.then_some(Self {
            v6,
            protocol,
            l4,
            payload: l4 + header,
        })
    }

    /// Where the checksum is, from the start of the TCP or UDP header.
    pub fn checksum_offset(&self) -> usize {
        if self.protocol == TCP { 16 } else { 6 }
    }

    /// The pseudo header's unfolded sum, if its length is `length`.
    pub fn pseudo(&self, packet: &[u8], length: usize) -> u64 {
        let addresses = if self.v6 {
            &packet[8..40]
        } else {
            &packet[12..20]
        };
        checksum::sum(addresses) + checksum::length_and_protocol(self.protocol, length)
    }

    /// True if the TCP or UDP checksum is right.
    pub fn checksum_is_right(&self, packet: &[u8]) -> bool {
        let segment = &packet[self.l4..];
        checksum::whole(self.pseudo(packet, segment.len()) + checksum::sum(segment))
    }
}
