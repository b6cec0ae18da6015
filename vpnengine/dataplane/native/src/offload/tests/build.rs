//! Packets for the tests, made without the code under test: its checksum is the plain one, word by word.

use proptest::prelude::*;

/// RFC 1071, one 16-bit word after the other.
pub fn slow_checksum(parts: &[&[u8]]) -> [u8; 2] {
    let data: Vec<u8> = parts.concat();
    let mut sum = 0u32;
    for pair in data.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// One TCP or UDP packet in its parts.
#[derive(Clone, Debug)]
pub struct Packet {
    pub v6: bool,
    pub tcp: bool,
    pub flow: u8,
    pub id: u16,
    pub df: bool,
    pub ttl: u8,
    pub tos: u8,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Packet {
    fn header_len(&self) -> usize {
        if self.tcp { 20 + self.options.len() } else { 8 }
    }

    pub fn l4(&self) -> usize {
        if self.v6 { 40 } else { 20 }
    }

    /// Octets before the payload.
    pub fn headers(&self) -> usize {
        self.l4() + self.header_len()
    }

    fn pseudo(&self, ip: &[u8], length: usize) -> Vec<u8> {
        let addresses = if self.v6 { &ip[8..40] } else { &ip[12..20] };
        let protocol = if self.tcp { 6 } else { 17 };
        let length = (length as u32).to_be_bytes();
        [addresses, &length, &[0, 0, 0, protocol]].concat()
    }

    fn ip(&self, length: usize) -> Vec<u8> {
        let protocol = if self.tcp { 6 } else { 17 };
        if self.v6 {
            let mut ip = vec![0x60 | self.tos >> 4, self.tos << 4, 0, self.flow];
            ip.extend((length as u16).to_be_bytes());
            ip.extend([protocol, self.ttl]);
            ip.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, self.flow]);
            ip.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2]);
            return ip;
        }
        let mut ip = vec![0x45, self.tos];
        ip.extend((20 + length as u16).to_be_bytes());
        ip.extend(self.id.to_be_bytes());
        ip.extend([
            u8::from(self.df) << 6,
            0,
            self.ttl,
            protocol,
            0,
            0,
            10,
            1,
            1,
            self.flow,
            10,
            2,
            2,
            2,
        ]);
        let checksum = slow_checksum(&[&ip]);
        ip[10..12].copy_from_slice(&checksum);
        ip
    }

    fn transport(&self) -> Vec<u8> {
        let mut out = vec![0x30, self.flow, 0x01, 0xbb];
        if self.tcp {
            out.extend(self.seq.to_be_bytes());
            out.extend(self.ack.to_be_bytes());
            out.extend([
                (self.header_len() as u8 / 4) << 4,
                self.flags,
                0x20,
                0x00,
                0,
                0,
                0,
                0,
            ]);
            out.extend(&self.options);
        } else {
            out.extend(((8 + self.payload.len()) as u16).to_be_bytes());
            out.extend([0, 0]);
        }
        out.extend(&self.payload);
        out
    }

    /// With whole checksums, as it is on the wire.
    pub fn wire(&self) -> Vec<u8> {
        let mut segment = self.transport();
        let ip = self.ip(segment.len());
        let at = if self.tcp { 16 } else { 6 };
        let mut checksum = slow_checksum(&[&self.pseudo(&ip, segment.len()), &segment]);
        if checksum == [0, 0] {
            checksum = [0xff, 0xff];
        }
        segment[at..at + 2].copy_from_slice(&checksum);
        [ip, segment].concat()
    }

    /// As the kernel hands over a large packet: the checksum holds the pseudo header's sum alone.
    pub fn large(&self) -> Vec<u8> {
        let mut segment = self.transport();
        let ip = self.ip(segment.len());
        let at = if self.tcp { 16 } else { 6 };
        let partial = slow_checksum(&[&self.pseudo(&ip, segment.len())]);
        segment[at..at + 2].copy_from_slice(&[!partial[0], !partial[1]]);
        [ip, segment].concat()
    }

    /// The packets that a card makes of it, each with `mss` octets of payload at most.
    pub fn cut(&self, mss: usize) -> Vec<Packet> {
        let chunks: Vec<&[u8]> = self.payload.chunks(mss).collect();
        let last = chunks.len() - 1;
        let one = |(index, chunk): (usize, &&[u8])| {
            let mut flags = self.flags;
            if index < last {
                flags &= !0x09;
            }
            if index > 0 {
                flags &= !0x80;
            }
            let seq = self.seq.wrapping_add((index * mss) as u32);
            let id = self.id.wrapping_add(index as u16);
            Packet {
                flags,
                seq,
                id,
                payload: chunk.to_vec(),
                ..self.clone()
            }
        };
        chunks.iter().enumerate().map(one).collect()
    }
}

/// Any packet with `least` to `most` octets of payload, made of cheap pseudo-random octets.
pub fn packets(least: usize, most: usize) -> impl Strategy<Value = Packet> {
    let ip = (
        any::<bool>(),
        any::<bool>(),
        any::<u8>(),
        any::<u16>(),
        any::<bool>(),
        any::<u8>(),
        any::<u8>(),
    );
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let tcp = (any::<u32>(), any::<u32>(), flags, 0usize..=10);
    (ip, tcp, least..=most, any::<u32>()).prop_map(|(ip, tcp, length, seed)| {
        let (v6, is_tcp, flow, id, df, ttl, tos) = ip;
        let (seq, ack, (fin, psh, ece, cwr), words) = tcp;
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        Packet {
            v6,
            tcp: is_tcp,
            flow,
            id,
            df,
            ttl,
            tos,
            seq,
            ack,
            flags: 0x10 | flag(fin, 1) | flag(psh, 8) | flag(ece, 0x40) | flag(cwr, 0x80),
            options: octets(4 * words, seed),
            payload: octets(length, seed ^ 0x5555),
        }
    })
}

/// `length` octets that look random.
pub fn octets(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state = state.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// An ordinary TCP segment of flow 1 over IPv4 with timestamps.
pub fn segment(seq: u32, length: usize) -> Packet {
    Packet {
        v6: false,
        tcp: true,
        flow: 1,
        id: 7,
        df: true,
        ttl: 64,
        tos: 0,
        seq,
        ack: 1,
        flags: 0x10,
        options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        payload: octets(length, seq),
    }
}
