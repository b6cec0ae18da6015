//! Control messages beside a datagram (`cmsg(3)`), written and read as octets, so that no pointer is followed here.

use std::net::IpAddr;

/// Room for the control messages of one message.
pub const CONTROL_LEN: usize = 256;
const HEADER: usize = std::mem::size_of::<libc::cmsghdr>();
const WORD: usize = std::mem::size_of::<usize>();

/// Aligned as the kernel wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Control(pub [u8; CONTROL_LEN]);

impl Default for Control {
    fn default() -> Self {
        Self([0; CONTROL_LEN])
    }
}

const fn align(length: usize) -> usize {
    (length + WORD - 1) & !(WORD - 1)
}

/// Writes messages one behind the other; four of the largest fit.
pub struct Writer<'a> {
    control: &'a mut Control,
    length: usize,
}

impl<'a> Writer<'a> {
    /// Start at the beginning.
    pub fn new(control: &'a mut Control) -> Self {
        Self { control, length: 0 }
    }

    /// Octets in use.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Add one message.
    pub fn put(&mut self, level: libc::c_int, kind: libc::c_int, data: &[u8]) {
        let out = &mut self.control.0[self.length..self.length + align(HEADER) + align(data.len())];
        out.fill(0);
        out[..WORD].copy_from_slice(&(align(HEADER) + data.len()).to_ne_bytes());
        out[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        out[WORD + 4..WORD + 8].copy_from_slice(&kind.to_ne_bytes());
        out[align(HEADER)..align(HEADER) + data.len()].copy_from_slice(data);
        self.length += out.len();
    }

    /// The source address (`struct in_pktinfo`, `struct in6_pktinfo`); the interface is left to the routing table.
    pub fn put_source(&mut self, source: IpAddr) {
        match source {
            IpAddr::V4(v4) => {
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&v4.octets());
                self.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V6(v6) => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&v6.octets());
                self.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    /// DSCP and ECN: the type of service or traffic class octet.
    pub fn put_tos(&mut self, v6: bool, tos: u8) {
        let value = libc::c_int::from(tos).to_ne_bytes();
        if v6 {
            self.put(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &value);
        } else {
            self.put(libc::IPPROTO_IP, libc::IP_TOS, &value);
        }
    }

    /// Cut the message into datagrams of `size` octets.
    pub fn put_segment(&mut self, size: u16) {
        self.put(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
    }
}

/// The messages in `data`: level, type, content. Ends at the first that does not fit.
pub fn messages(data: &[u8]) -> impl Iterator<Item = (libc::c_int, libc::c_int, &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let length = usize::from_ne_bytes(rest.get(..WORD)?.try_into().ok()?);
        let level = libc::c_int::from_ne_bytes(rest.get(WORD..WORD + 4)?.try_into().ok()?);
        let kind = libc::c_int::from_ne_bytes(rest.get(WORD + 4..WORD + 8)?.try_into().ok()?);
        let content = rest.get(align(HEADER)..length)?;
        rest = rest
            .get(length.checked_next_multiple_of(WORD)?..)
            .unwrap_or_default();
        Some((level, kind, content))
    })
}

/// A number of one, two or four octets, in the host's byte order.
pub fn number(content: &[u8]) -> Option<u32> {
    match content {
        [one] => Some(u32::from(*one)),
        [a, b] => Some(u32::from(u16::from_ne_bytes([*a, *b]))),
        [a, b, c, d, ..] => Some(u32::from_ne_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// What was said about a datagram that came in.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Received {
    /// The address it was sent to.
    pub local: Option<IpAddr>,
    /// Its type of service or traffic class.
    pub tos: u8,
    /// It is several datagrams of this size; 0 if it is one.
    pub segment: usize,
}

impl Received {
    /// Read the control messages of `recvmsg`.
    pub fn parse(data: &[u8]) -> Self {
        let mut out = Self::default();
        for (level, kind, content) in messages(data) {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let octets: Option<[u8; 4]> =
                        content.get(8..12).and_then(|o| o.try_into().ok());
                    out.local = octets.map(IpAddr::from);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let octets: Option<[u8; 16]> =
                        content.get(..16).and_then(|o| o.try_into().ok());
                    out.local = octets.map(IpAddr::from);
                }
                (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    out.tos = number(content).unwrap_or(0) as u8;
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    out.segment = number(content).unwrap_or(0) as usize
                }
                _ => {}
            }
        }
        out
    }
}
