//! What a network card with segmentation offload does: cut large packets, merge small ones, complete checksums.
//!
//! The header before each packet of the TUN device is `virtio_net_hdr` (virtio 1.2, section 5.1.6), 10 octets, in
//! the byte order of the host.

pub mod checksum;
pub mod coalesce;
pub mod headers;
pub mod segment;
#[cfg(test)]
mod tests;

pub use coalesce::Coalescer;
pub use segment::{Malformed, Plan};

/// Octets of a [`VirtioHeader`] before each packet.
pub const VIRTIO_LEN: usize = 10;

/// `VirtioHeader::flags`: the checksum at `csum_start + csum_offset` is still to be completed.
pub const NEEDS_CSUM: u8 = 1;
/// `VirtioHeader::gso_type`: an ordinary packet.
pub const GSO_NONE: u8 = 0;
/// `VirtioHeader::gso_type`: TCP over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// `VirtioHeader::gso_type`: TCP over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// `VirtioHeader::gso_type`: UDP datagrams, over IPv4 or IPv6.
pub const GSO_UDP_L4: u8 = 5;
/// Bit in `VirtioHeader::gso_type`: the first segment carries CWR.
pub const GSO_ECN: u8 = 0x80;

/// How the packet behind it is to be cut and which checksum is partial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioHeader {
    /// 0 or [`NEEDS_CSUM`].
    pub flags: u8,
    /// One of the `GSO_` constants.
    pub gso_type: u8,
    /// Octets of all headers; only a hint when it comes from the kernel.
    pub hdr_len: u16,
    /// Octets of payload in each segment but the last.
    pub gso_size: u16,
    /// Where the checksum's range begins.
    pub csum_start: u16,
    /// Where the checksum is, from `csum_start`.
    pub csum_offset: u16,
}

impl VirtioHeader {
    /// The header at the start of `data`, None if that is too short.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let data: &[u8; VIRTIO_LEN] = data.get(..VIRTIO_LEN)?.try_into().ok()?;
        let word = |at: usize| u16::from_ne_bytes([data[at], data[at + 1]]);
        Some(Self {
            flags: data[0],
            gso_type: data[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
        })
    }

    /// The octets that the device wants before the packet.
    pub fn encode(&self) -> [u8; VIRTIO_LEN] {
        let mut out = [self.flags, self.gso_type, 0, 0, 0, 0, 0, 0, 0, 0];
        let words = [
            self.hdr_len,
            self.gso_size,
            self.csum_start,
            self.csum_offset,
        ];
        for (index, word) in words.iter().enumerate() {
            out[2 + 2 * index..4 + 2 * index].copy_from_slice(&word.to_ne_bytes());
        }
        out
    }
}
