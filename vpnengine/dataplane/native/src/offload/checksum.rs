//! The Internet checksum (RFC 1071), added up in the host's byte order (section 2 (B)) and in wide words (2 (C)).
//!
//! A `u64` holds an unfolded sum; sums of parts that begin at even offsets simply add.

use std::net::IpAddr;

#[inline(always)]
fn sum_words(data: &[u8]) -> u64 {
    let mut lanes = [0u64; 8];
    let mut blocks = data.chunks_exact(32);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(4)) {
            *lane += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        }
    }
    let mut total: u64 = lanes.iter().sum();
    let mut pairs = blocks.remainder().chunks_exact(2);
    for pair in &mut pairs {
        total += u64::from(u16::from_ne_bytes([pair[0], pair[1]]));
    }
    if let [last] = pairs.remainder() {
        total += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    total
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn sum_words_avx2(data: &[u8]) -> u64 {
    sum_words(data)
}

/// The unfolded sum of `data`; an odd last octet counts as if a zero followed.
#[inline]
pub fn sum(data: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if data.len() >= 128 && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { sum_words_avx2(data) };
    }
    sum_words(data)
}

/// The 16 bits of an unfolded sum, in the host's byte order.
#[inline]
pub fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// One 16-bit number as it stands in the packet.
#[inline]
pub fn word(value: u16) -> u64 {
    u64::from(value.to_be())
}

/// The pseudo header of TCP and UDP (RFC 9293 section 3.1, RFC 8200 section 8.1), for `length` octets of segment.
pub fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> u64 {
    let address = |address: IpAddr| match address {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    };
    address(source) + address(destination) + length_and_protocol(protocol, length)
}

/// The part of the pseudo header that is not addresses.
#[inline]
pub fn length_and_protocol(protocol: u8, length: usize) -> u64 {
    word(u16::from(protocol)) + word((length & 0xffff) as u16) + word((length >> 16) as u16)
}

/// The checksum field for an unfolded sum over everything else.
#[inline]
pub fn field(sum: u64) -> [u8; 2] {
    (!fold(sum)).to_ne_bytes()
}

/// As [`field`], but never zero, which in UDP means “none” (RFC 768); for TCP both are the same number.
#[inline]
pub fn nonzero_field(sum: u64) -> [u8; 2] {
    match field(sum) {
        [0, 0] => [0xff, 0xff],
        other => other,
    }
}

/// The checksum field after one 16-bit word it covers has changed (RFC 1624, equation 3).
#[inline]
pub fn update(field: [u8; 2], old: [u8; 2], new: [u8; 2]) -> [u8; 2] {
    let word = |octets: [u8; 2]| u64::from(u16::from_ne_bytes(octets));
    let sum =
        u64::from(!u16::from_ne_bytes(field)) + u64::from(!u16::from_ne_bytes(old)) + word(new);
    (!fold(sum)).to_ne_bytes()
}

/// True if a range that contains its own checksum is whole.
#[inline]
pub fn whole(sum: u64) -> bool {
    fold(sum) == 0xffff
}
