//! The end of the encrypted part: padding, pad length and next header (RFC 4303 sections 2.4 to 2.7).

use super::HEADER;

/// IPv4 inside: tunnel mode.
pub const NEXT_IPV4: u8 = 4;
/// IPv6 inside: tunnel mode.
pub const NEXT_IPV6: u8 = 41;
/// Nothing inside: a dummy packet, to be dropped (RFC 4303 section 2.6).
pub const NEXT_DUMMY: u8 = 59;

/// 1, 2, 3 … (RFC 4303 section 2.4).
const PADDING: [u8; 255] = {
    let mut octets = [0; 255];
    let mut index = 0;
    while index < 255 {
        octets[index] = index as u8 + 1;
        index += 1;
    }
    octets
};

/// Why a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too short, or not whole blocks, for its SA's algorithms.
    TooShort,
    /// The integrity check value does not verify.
    NotAuthentic,
    /// Authentic, and its padding or pad length is wrong.
    BadPadding,
    /// Authentic, and says that nothing is inside.
    Dummy,
    /// Authentic, and not the IP packet that its next header promises.
    NotTunnel,
    /// Authentic, and its IP header promises more than there is.
    CutShort,
}

impl Refusal {
    /// A short name for counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too short",
            Self::NotAuthentic => "not authentic",
            Self::BadPadding => "bad padding",
            Self::Dummy => "dummy",
            Self::NotTunnel => "not tunnel mode",
            Self::CutShort => "inner packet cut short",
        }
    }

    /// True if the peer has made the packet, so that its number counts as seen.
    pub fn is_authentic(self) -> bool {
        !matches!(self, Self::TooShort | Self::NotAuthentic)
    }
}

/// Where in an opened packet its payload lies, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    pub offset: usize,
    pub len: usize,
    pub next_header: u8,
}

impl Opened {
    /// In tunnel mode: the IP packet inside, without traffic flow confidentiality padding (RFC 4303 section 2.7).
    pub fn tunnel(self, packet: &[u8]) -> Result<Opened, Refusal> {
        let inner = packet
            .get(self.offset..self.offset + self.len)
            .ok_or(Refusal::CutShort)?;
        let version = inner.first().map_or(0, |octet| octet >> 4);
        let (fixed, length_at, more) = match (self.next_header, version) {
            (NEXT_DUMMY, _) => return Err(Refusal::Dummy),
            (NEXT_IPV4, 4) => (20, 2, 0),
            (NEXT_IPV6, 6) => (40, 4, 40),
            _ => return Err(Refusal::NotTunnel),
        };
        if inner.len() < fixed {
            return Err(Refusal::CutShort);
        }
        let len = usize::from(u16::from_be_bytes([inner[length_at], inner[length_at + 1]])) + more;
        if len > inner.len() || len < 20 {
            Err(Refusal::CutShort)
        } else {
            Ok(Opened { len, ..self })
        }
    }
}

/// Write padding, pad length and next header after `inner` octets at `offset`, so that the encrypted part fills whole
/// blocks; where it ends. The packet is long enough.
pub(super) fn write(
    packet: &mut [u8],
    offset: usize,
    inner: usize,
    block: usize,
    next_header: u8,
) -> usize {
    let end = offset + (inner + 2).next_multiple_of(block);
    let pad = end - offset - inner - 2;
    packet[offset + inner..end - 2].copy_from_slice(&PADDING[..pad]);
    packet[end - 2] = pad as u8;
    packet[end - 1] = next_header;
    end
}

/// Check and take off the trailer of a decrypted packet whose encrypted part was `offset..end`.
pub(super) fn read(packet: &[u8], offset: usize, end: usize) -> Result<Opened, Refusal> {
    debug_assert!(offset >= HEADER && offset + 2 <= end && end <= packet.len());
    let (pad, next_header) = (usize::from(packet[end - 2]), packet[end - 1]);
    let len = (end - offset - 2)
        .checked_sub(pad)
        .ok_or(Refusal::BadPadding)?;
    if packet[offset + len..end - 2] != PADDING[..pad] {
        return Err(Refusal::BadPadding);
    }
    Ok(Opened {
        offset,
        len,
        next_header,
    })
}
