//! Cut one large packet from the TUN device into the packets that a network card would send.

use super::checksum::{self, word};
use super::headers::{TCP, UDP, be16, be32, flag};
use super::{GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VirtioHeader};

/// What the device handed over does not agree with itself; the packet is to be counted and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not an IP packet, or its headers end behind its last octet.
    Truncated,
    /// The checksum's place lies outside the packet.
    Checksum,
    /// An offload type that was not asked for, or one for another IP version or protocol.
    GsoType,
    /// Segments of no payload.
    GsoSize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    Tcp,
    Udp,
}

/// How one packet of the device becomes `count` inner packets: all but the last have `full_len` octets.
///
/// The plan borrows the packet; [`Plan::write`] puts each inner packet where the caller wants it, for example behind
/// the room for an ESP header, so that nothing is copied again.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    packet: &'a [u8],
    kind: Kind,
    checksum: Option<(usize, usize)>,
    l4: usize,
    header: usize,
    mss: usize,
    count: usize,
}

impl<'a> Plan<'a> {
    /// Plan `packet`, which follows `header` in what was read.
    ///
    /// Errors: see [`Malformed`].
    pub fn new(header: &VirtioHeader, packet: &'a [u8]) -> Result<Self, Malformed> {
        let version = packet.first().ok_or(Malformed::Truncated)? >> 4;
        let least = match version {
            4 => 20,
            6 => 40,
            _ => return Err(Malformed::Truncated),
        };
        if packet.len() < least
            || (version == 4 && !(5..=packet.len() / 4).contains(&usize::from(packet[0] & 15)))
        {
            return Err(Malformed::Truncated);
        }
        let checksum = partial_checksum(header, packet)?;
        let kind = match (header.gso_type & !GSO_ECN, version) {
            (GSO_NONE, _) => Kind::Whole,
            (GSO_TCPV4, 4) | (GSO_TCPV6, 6) => Kind::Tcp,
            (GSO_UDP_L4, _) => Kind::Udp,
            _ => return Err(Malformed::GsoType),
        };
        if kind == Kind::Whole {
            return Ok(Self {
                packet,
                kind,
                checksum,
                l4: 0,
                header: 0,
                mss: packet.len(),
                count: 1,
            });
        }
        Self::large(header, packet, kind, checksum)
    }

    fn large(
        header: &VirtioHeader,
        packet: &'a [u8],
        kind: Kind,
        checksum: Option<(usize, usize)>,
    ) -> Result<Self, Malformed> {
        // Linux gives the start of the TCP or UDP header only here; “hdr_len” may be longer than the headers.
        let (l4, at) = checksum.ok_or(Malformed::Checksum)?;
        let v6 = packet[0] >> 4 == 6;
        let (protocol, least) = if v6 {
            (packet[6], 40)
        } else {
            (packet[9], usize::from(packet[0] & 15) * 4)
        };
        let (wanted, place, min) = if kind == Kind::Tcp {
            (TCP, 16, 20)
        } else {
            (UDP, 6, 8)
        };
        // Behind IPv6 extension headers the protocol stands elsewhere; the kernel has followed them.
        if l4 < least || (l4 == least && protocol != wanted) || (!v6 && l4 != least) {
            return Err(Malformed::GsoType);
        }
        if at != l4 + place {
            return Err(Malformed::Checksum);
        }
        if packet.len() < l4 + min {
            return Err(Malformed::Truncated);
        }
        let length = if kind == Kind::Tcp {
            usize::from(packet[l4 + 12] >> 4) * 4
        } else {
            8
        };
        let header_len = l4 + length;
        if length < min || header_len > packet.len() {
            return Err(Malformed::Truncated);
        }
        let mss = usize::from(header.gso_size);
        if mss == 0 || header_len + mss > 65_535 {
            return Err(Malformed::GsoSize);
        }
        let count = (packet.len() - header_len).div_ceil(mss).max(1);
        Ok(Self {
            packet,
            kind,
            checksum,
            l4,
            header: header_len,
            mss,
            count,
        })
    }

    /// Number of inner packets, at least 1.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Octets of each inner packet but the last.
    pub fn full_len(&self) -> usize {
        if self.count == 1 {
            self.packet.len()
        } else {
            self.header + self.mss
        }
    }

    /// Octets of inner packet `index`.
    pub fn len(&self, index: usize) -> usize {
        if index + 1 < self.count {
            self.full_len()
        } else {
            self.packet.len() - index * self.mss * usize::from(self.kind != Kind::Whole)
        }
    }

    /// A plan never makes zero packets.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The packet as it was read: addresses, protocol and ports are those of every inner packet.
    pub fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// Write inner packet `index` to the start of `out`, complete with its checksums; its length is returned.
    ///
    /// Panics if `index` is not below [`Plan::count`] or `out` is shorter than [`Plan::len`].
    #[inline]
    pub fn write(&self, index: usize, out: &mut [u8]) -> usize {
        assert!(index < self.count, "no such segment");
        let length = self.len(index);
        let out = &mut out[..length];
        if self.kind == Kind::Whole {
            out.copy_from_slice(self.packet);
            if let Some((start, at)) = self.checksum {
                let field = checksum::nonzero_field(checksum::sum(&out[start..]));
                out[at..at + 2].copy_from_slice(&field);
            }
            return length;
        }
        let from = self.header + index * self.mss;
        let (header, payload) = out.split_at_mut(self.header);
        header.copy_from_slice(&self.packet[..self.header]);
        payload.copy_from_slice(&self.packet[from..from + length - self.header]);
        self.finish_ip(index, out);
        self.finish_transport(index, out);
        length
    }

    /// Write every inner packet, `index` at `index * stride + headroom`.
    ///
    /// Panics if `out` is too short for that.
    pub fn write_all(&self, out: &mut [u8], stride: usize, headroom: usize) {
        for index in 0..self.count {
            self.write(index, &mut out[index * stride + headroom..]);
        }
    }

    /// Length, and in IPv4 the identification, which counts up, and the header's checksum.
    fn finish_ip(&self, index: usize, out: &mut [u8]) {
        let length = out.len();
        if out[0] >> 4 == 6 {
            out[4..6].copy_from_slice(&((length - 40) as u16).to_be_bytes());
            return;
        }
        let id = be16(self.packet, 4).wrapping_add(index as u16);
        out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        out[4..6].copy_from_slice(&id.to_be_bytes());
        out[10..12].fill(0);
        let field = checksum::field(checksum::sum(&out[..self.l4]));
        out[10..12].copy_from_slice(&field);
    }

    /// Sequence number and flags or length, and the checksum: the partial one that the kernel left holds the pseudo
    /// header with the length of the whole, in whose place the segment's own comes.
    fn finish_transport(&self, index: usize, out: &mut [u8]) {
        let segment = &mut out[self.l4..];
        let length = segment.len();
        let place = if self.kind == Kind::Tcp {
            let seq = be32(segment, 4).wrapping_add((index * self.mss) as u32);
            segment[4..8].copy_from_slice(&seq.to_be_bytes());
            if index + 1 < self.count {
                segment[13] &= !(flag::FIN | flag::PSH);
            }
            if index > 0 {
                segment[13] &= !flag::CWR;
            }
            16
        } else {
            segment[4..6].copy_from_slice(&(length as u16).to_be_bytes());
            6
        };
        let whole = self.packet.len() - self.l4;
        let minus = u64::from(!((whole & 0xffff) as u16).to_be())
            + u64::from(!((whole >> 16) as u16).to_be());
        let sum = checksum::sum(segment) + minus + word(length as u16);
        segment[place..place + 2].copy_from_slice(&checksum::nonzero_field(sum));
    }
}

/// Start and place of the checksum that is to be completed, if there is one.
fn partial_checksum(
    header: &VirtioHeader,
    packet: &[u8],
) -> Result<Option<(usize, usize)>, Malformed> {
    if header.flags & NEEDS_CSUM == 0 {
        return Ok(None);
    }
    let start = usize::from(header.csum_start);
    let at = start + usize::from(header.csum_offset);
    if at + 2 > packet.len() {
        return Err(Malformed::Checksum);
    }
    Ok(Some((start, at)))
}
