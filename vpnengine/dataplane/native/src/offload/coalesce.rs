//! Merge the segments of a flow into one large packet for the TUN device, as the kernel's GRO would.
//!
//! Rules for TCP: the same addresses, ports, TTL, type of service, DF, acknowledgment, options (timestamps included)
//! and flags, FIN, PSH and CWR aside; sequence numbers without a gap; segments of equal size, of which only the last
//! may be shorter; IPv4 identifications that count up, or with DF stand still (RFC 6864). CWR only on the first, FIN
//! and PSH only on the last. UDP: equal sizes, a checksum that is there, at most 64. Each checksum was verified before:
//! the kernel does not look at it again. What cannot merge is written as it came.
//!
//! Packets of one flow stay in order. Packets of different flows may change places, as in GRO.

use std::io::IoSlice;

use super::checksum;
use super::headers::{TCP, Transport, be16, be32, flag};
use super::{GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VirtioHeader};

const MAX_LENGTH: usize = 65_535;
const MAX_UDP_SEGMENTS: usize = 64;
/// One write takes 1,024 parts at most; two of them are headers.
const MAX_SEGMENTS: usize = 1_000;
const MAX_HEADER: usize = 40 + 60;
const NONE: u32 = u32::MAX;
const BUCKETS: usize = 256;
/// What may be in a flow's open packet; anything else ends it.
const QUIET: u8 = flag::ACK | flag::PSH | flag::FIN | flag::CWR | 0x40;

/// A packet that may be the first of a large one.
struct Group<'a> {
    head: &'a [u8],
    /// None: never merges, the packet is written as it came.
    transport: Option<Transport>,
    /// Merged segments behind the first, linked through `Coalescer::parts`.
    first: u32,
    last: u32,
    segments: usize,
    length: usize,
    /// Octets of payload in the first segment.
    size: usize,
    next_seq: u32,
    /// By how much IPv4 identifications rise, known with the second segment.
    id_step: Option<u16>,
    tail_flags: u8,
    verified: bool,
    closed: bool,
    chain: u32,
}

/// Collects the packets of one burst. The memory is kept from burst to burst.
#[derive(Default)]
pub struct Coalescer {
    groups: Vec<Group<'static>>,
    parts: Vec<(&'static [u8], u32)>,
    slices: Vec<IoSlice<'static>>,
    udp: bool,
}

/// One burst; the packets stay where they are until [`Burst::finish`].
pub struct Burst<'c, 'a> {
    owner: &'c mut Coalescer,
    groups: Vec<Group<'a>>,
    parts: Vec<(&'a [u8], u32)>,
    buckets: [u32; BUCKETS],
}

/// An empty vector for another lifetime in the same memory: collecting in place keeps the allocation.
macro_rules! recycle {
    ($vector:expr) => {{
        let mut vector = std::mem::take($vector);
        vector.clear();
        vector
            .into_iter()
            .map(|_| unreachable!("the vector is empty"))
            .collect()
    }};
}

impl Coalescer {
    /// `udp`: the device takes merged UDP datagrams ([`crate::tun::Offloads::uso`]).
    pub fn new(udp: bool) -> Self {
        Self {
            udp,
            ..Self::default()
        }
    }

    /// Merged segments for which there is memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.parts.capacity()
    }

    /// Begin a burst.
    pub fn burst<'a>(&mut self) -> Burst<'_, 'a> {
        let (groups, parts) = (recycle!(&mut self.groups), recycle!(&mut self.parts));
        Burst {
            owner: self,
            groups,
            parts,
            buckets: [NONE; BUCKETS],
        }
    }
}

impl<'a> Burst<'_, 'a> {
    /// Take one inner packet, without any octets behind its end.
    pub fn push(&mut self, packet: &'a [u8]) {
        let transport = Transport::parse(packet).filter(|t| self.owner.udp || t.protocol == TCP);
        let Some(transport) = transport else {
            self.groups.push(Group::single(packet));
            return;
        };
        let bucket = bucket(packet, &transport);
        let mut at = self.buckets[bucket];
        while let Some(group) = self.groups.get_mut(at as usize) {
            if group.same_flow(packet, &transport) {
                if group.accepts(packet, &transport) {
                    let part = self.parts.len() as u32;
                    self.parts.push((&packet[transport.payload..], NONE));
                    match group.last {
                        NONE => group.first = part,
                        last => self.parts[last as usize].1 = part,
                    }
                    group.take(packet, &transport, part);
                    return;
                }
                group.closed = true;
                break;
            }
            at = group.chain;
        }
        let mut group = Group::open(packet, transport);
        group.chain = self.buckets[bucket];
        self.buckets[bucket] = self.groups.len() as u32;
        self.groups.push(group);
    }

    /// Hand every packet over, in the order in which the first parts came: slices to be written at once, the virtio
    /// header being the first of them, and the number of packets that came in for it.
    pub fn finish(self, mut write: impl FnMut(&[IoSlice<'_>], usize)) {
        let Burst {
            owner,
            mut groups,
            mut parts,
            ..
        } = self;
        let mut memory = std::mem::take(&mut owner.slices);
        for group in &groups {
            let mut header = [0; MAX_HEADER];
            let mut slices: Vec<IoSlice<'_>> = recycle!(&mut memory);
            let virtio = group.header(&mut header).encode();
            slices.push(IoSlice::new(&virtio));
            match group.transport {
                Some(transport) if group.segments > 1 => {
                    slices.push(IoSlice::new(&header[..transport.payload]));
                    slices.push(IoSlice::new(&group.head[transport.payload..]));
                    let mut at = group.first;
                    while let Some((part, next)) = parts.get(at as usize) {
                        slices.push(IoSlice::new(part));
                        at = *next;
                    }
                }
                _ => slices.push(IoSlice::new(group.head)),
            }
            write(&slices, group.segments);
            memory = recycle!(&mut slices);
        }
        owner.slices = memory;
        owner.groups = recycle!(&mut groups);
        owner.parts = recycle!(&mut parts);
    }
}

impl<'a> Group<'a> {
    fn single(head: &'a [u8]) -> Self {
        Self {
            head,
            transport: None,
            first: NONE,
            last: NONE,
            segments: 1,
            length: head.len(),
            size: 0,
            next_seq: 0,
            id_step: None,
            tail_flags: 0,
            verified: false,
            closed: true,
            chain: NONE,
        }
    }

    fn open(head: &'a [u8], transport: Transport) -> Self {
        let size = head.len() - transport.payload;
        let mut group = Self {
            transport: Some(transport),
            size,
            closed: size == 0,
            ..Self::single(head)
        };
        if transport.protocol == TCP {
            let flags = head[transport.l4 + 13];
            group.next_seq = be32(head, transport.l4 + 4).wrapping_add(size as u32);
            group.tail_flags = flags & (flag::FIN | flag::PSH);
            // What ends a packet, and what is no plain data, goes alone.
            group.closed |= group.tail_flags != 0 || flags & !QUIET != 0 || flags & flag::ACK == 0;
        } else {
            group.closed |= be16(head, transport.l4 + 6) == 0;
        }
        group
    }

    /// Addresses, protocol and ports.
    fn same_flow(&self, packet: &[u8], other: &Transport) -> bool {
        let Some(own) = self.transport else {
            return false;
        };
        let addresses = if own.v6 { 8..40 } else { 12..20 };
        own.v6 == other.v6
            && own.protocol == other.protocol
            && self.head[addresses.clone()] == packet[addresses]
            && self.head[own.l4..own.l4 + 4] == packet[own.l4..own.l4 + 4]
    }

    /// True if `packet`, of the same flow, may follow what is here.
    fn accepts(&mut self, packet: &[u8], other: &Transport) -> bool {
        let Some(own) = self.transport else {
            return false;
        };
        let payload = packet.len() - other.payload;
        if self.closed || own != *other || payload == 0 || payload > self.size {
            return false;
        }
        if self.length + payload > MAX_LENGTH || self.segments >= MAX_SEGMENTS {
            return false;
        }
        let fits = if own.protocol == TCP {
            self.follows_tcp(packet, &own)
        } else {
            self.segments < MAX_UDP_SEGMENTS && be16(packet, own.l4 + 6) != 0
        };
        if !fits || !self.same_ip(packet, own.v6) || !other.checksum_is_right(packet) {
            return false;
        }
        self.verified = self.verified || own.checksum_is_right(self.head);
        self.verified
    }

    fn follows_tcp(&self, packet: &[u8], own: &Transport) -> bool {
        let (head, tcp) = (
            &self.head[own.l4..own.payload],
            &packet[own.l4..own.payload],
        );
        let differ = (head[13] & !flag::CWR) ^ tcp[13];
        be32(tcp, 4) == self.next_seq
            && head[8..13] == tcp[8..13] // acknowledgment, header length and the bits beside it
            && differ & !(flag::FIN | flag::PSH) == 0
            && head[20..] == tcp[20..] // options; the first window stands for all, as in the kernel
    }

    /// Type of service, TTL, flow label; identification.
    fn same_ip(&self, packet: &[u8], v6: bool) -> bool {
        let head = self.head;
        if v6 {
            return head[..4] == packet[..4] && head[7] == packet[7];
        }
        if head[1] != packet[1] || head[8] != packet[8] || head[6] != packet[6] {
            return false;
        }
        match self.id_step {
            Some(step) => self.expected_id(step) == be16(packet, 4),
            None => self.id_step_to(packet).is_some(),
        }
    }

    fn expected_id(&self, step: u16) -> u16 {
        be16(self.head, 4).wrapping_add(step.wrapping_mul(self.segments as u16))
    }

    fn id_step_to(&self, packet: &[u8]) -> Option<u16> {
        let atomic = packet[6] & 0x40 != 0;
        match be16(packet, 4).wrapping_sub(be16(self.head, 4)) {
            0 if atomic => Some(0),
            1 => Some(1),
            _ => None,
        }
    }

    fn take(&mut self, packet: &[u8], other: &Transport, part: u32) {
        let payload = packet.len() - other.payload;
        if !other.v6 && self.id_step.is_none() {
            self.id_step = self.id_step_to(packet);
        }
        if other.protocol == TCP {
            self.tail_flags |= packet[other.l4 + 13] & (flag::FIN | flag::PSH);
        }
        self.last = part;
        self.segments += 1;
        self.length += payload;
        self.next_seq = self.next_seq.wrapping_add(payload as u32);
        self.closed = payload < self.size || self.tail_flags != 0;
    }

    /// The virtio header, and the changed headers of a merged packet in `out`.
    fn header(&self, out: &mut [u8; MAX_HEADER]) -> VirtioHeader {
        let Some(own) = self.transport.filter(|_| self.segments > 1) else {
            return VirtioHeader::default();
        };
        let out = &mut out[..own.payload];
        out.copy_from_slice(&self.head[..own.payload]);
        if own.v6 {
            out[4..6].copy_from_slice(&((self.length - 40) as u16).to_be_bytes());
        } else {
            out[2..4].copy_from_slice(&(self.length as u16).to_be_bytes());
            out[10..12].fill(0);
            let field = checksum::field(checksum::sum(&out[..own.l4]));
            out[10..12].copy_from_slice(&field);
        }
        let mut gso_type = match (own.protocol, own.v6) {
            (TCP, false) => GSO_TCPV4,
            (TCP, true) => GSO_TCPV6,
            _ => GSO_UDP_L4,
        };
        let segment = self.length - own.l4;
        if own.protocol == TCP {
            out[own.l4 + 13] |= self.tail_flags;
            if out[own.l4 + 13] & flag::CWR != 0 {
                gso_type |= GSO_ECN;
            }
        } else {
            out[own.l4 + 4..own.l4 + 6].copy_from_slice(&(segment as u16).to_be_bytes());
        }
        let at = own.l4 + own.checksum_offset();
        let partial = checksum::fold(own.pseudo(self.head, segment));
        out[at..at + 2].copy_from_slice(&partial.to_ne_bytes());
        VirtioHeader {
            flags: NEEDS_CSUM,
            gso_type,
            hdr_len: own.payload as u16,
            gso_size: self.size as u16,
            csum_start: own.l4 as u16,
            csum_offset: own.checksum_offset() as u16,
        }
    }
}

/// Where a flow's open packet is looked for: a multiplicative hash over the last address words and the ports.
fn bucket(packet: &[u8], transport: &Transport) -> usize {
    let (l4, destination) = (transport.l4, transport.l4 - 4);
    let source = if transport.v6 { 20 } else { 12 };
    let mixed = be32(packet, l4)
        ^ be32(packet, destination).rotate_left(7)
        ^ be32(packet, source).rotate_left(17);
    (mixed.wrapping_mul(0x9e37_79b1) >> 24) as usize
}
