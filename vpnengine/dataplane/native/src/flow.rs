//! What a selector looks at in a packet (RFC 4301 section 4.4.1.1): addresses, protocol and ports.

const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const MAX_EXTENSIONS: usize = 8;

/// The addresses, protocol and ports of a packet. `ports` is None where the packet has none to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub v6: bool,
    pub source: u128,
    pub destination: u128,
    pub protocol: u8,
    pub ports: Option<(u16, u16)>,
}

/// From the first to the last address, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub first: u128,
    pub last: u128,
}

impl Span {
    fn contains(self, address: u128) -> bool {
        self.first <= address && address <= self.last
    }

    /// The fewest prefixes that make up the span, as (prefix length, address shifted right to its prefix).
    pub fn prefixes(self, bits: u32) -> Vec<(u32, u128)> {
        let mut found = Vec::new();
        let mut first = self.first;
        while first <= self.last {
            let aligned = if first == 0 {
                bits
            } else {
                first.trailing_zeros().min(bits)
            };
            // All addresses of IPv6 are more than a u128 can count.
            let room = self.last - first;
            let fits = match room.checked_add(1) {
                Some(count) => 127 - count.leading_zeros(),
                None => 128,
            };
            let size = aligned.min(fits);
            found.push((bits - size, shift(first, size)));
            match 1u128
                .checked_shl(size)
                .and_then(|step| first.checked_add(step))
            {
                Some(next) => first = next,
                None => break,
            }
        }
        found
    }
}

/// An address without its last `by` bits; `by` may be all 128.
pub fn shift(address: u128, by: u32) -> u128 {
    address.checked_shr(by).unwrap_or(0)
}

/// What an SA protects; protocol and ports are 0 for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    pub v6: bool,
    pub local: Span,
    pub remote: Span,
    pub protocol: u8,
    pub local_port: u16,
    pub remote_port: u16,
}

impl Selector {
    /// True if protocol and ports are the selector's; addresses are not looked at.
    pub fn matches(&self, flow: &Flow, outbound: bool) -> bool {
        if self.protocol == 0 {
            return true;
        }
        if flow.protocol != self.protocol {
            return false;
        }
        let (local, remote) = match flow.ports {
            Some((source, destination)) if outbound => (Some(source), Some(destination)),
            Some((source, destination)) => (Some(destination), Some(source)),
            None => (None, None),
        };
        let fits = |wanted: u16, port: Option<u16>| wanted == 0 || port == Some(wanted);
        fits(self.local_port, local) && fits(self.remote_port, remote)
    }

    /// True if a packet that came out of the tunnel is covered (RFC 4301 section 5.2).
    pub fn allows_inbound(&self, flow: &Flow) -> bool {
        self.v6 == flow.v6
            && self.remote.contains(flow.source)
            && self.local.contains(flow.destination)
            && self.matches(flow, false)
    }

    /// How many of protocol and ports are given: among equal addresses the most exact policy comes first.
    pub fn precision(&self) -> u8 {
        u8::from(self.protocol != 0)
            + u8::from(self.local_port != 0)
            + u8::from(self.remote_port != 0)
    }
}

fn number(octets: &[u8]) -> u128 {
    octets
        .iter()
        .fold(0, |sum, octet| sum << 8 | u128::from(*octet))
}

fn short(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

/// The addresses alone; None if it is no IP packet.
pub fn packet_ends(packet: &[u8]) -> Option<Flow> {
    let flow = |v6, source, destination| Flow {
        v6,
        source,
        destination,
        protocol: 0,
        ports: None,
    };
    match packet.first()? >> 4 {
        4 if packet.len() >= 20 => {
            let address = |at: usize| {
                u128::from(u32::from_be_bytes([
                    packet[at],
                    packet[at + 1],
                    packet[at + 2],
                    packet[at + 3],
                ]))
            };
            Some(flow(false, address(12), address(16)))
        }
        6 if packet.len() >= 40 => {
            Some(flow(true, number(&packet[8..24]), number(&packet[24..40])))
        }
        _ => None,
    }
}

/// Addresses, protocol and ports. A fragment that is not the first has no ports (RFC 4301 section 7).
pub fn packet_flow(packet: &[u8]) -> Option<Flow> {
    let mut flow = packet_ends(packet)?;
    let (protocol, start, first) = if flow.v6 {
        ipv6_upper(packet)
    } else {
        (
            packet[9],
            usize::from(packet[0] & 15) * 4,
            short(packet, 6) & 0x1FFF == 0,
        )
    };
    flow.protocol = protocol;
    if first && with_ports(protocol) && start >= 20 && packet.len() >= start + 4 {
        flow.ports = Some((short(packet, start), short(packet, start + 2)));
    }
    Some(flow)
}

/// TCP, UDP, DCCP, SCTP, UDP-Lite: `vpnengine.contract.selectors.WITH_PORTS`.
pub fn with_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// (protocol, where it starts, whether the start is in this packet), after the extension headers.
fn ipv6_upper(packet: &[u8]) -> (u8, usize, bool) {
    let (mut following, mut start, mut first) = (packet[6], 40, true);
    for _ in 0..MAX_EXTENSIONS {
        if packet.len() < start + 8 {
            break;
        }
        let length = usize::from(packet[start + 1]);
        let size = match following {
            FRAGMENT => {
                first &= short(packet, start + 2) >> 3 == 0;
                8
            }
            AUTHENTICATION if first => (length + 2) * 4,
            // RFC 8200 section 4 and IANA's list of extension headers.
            0 | 43 | 60 | 135 | 139 | 140 if first => (length + 1) * 8,
            _ => break,
        };
        following = packet[start];
        start += size;
    }
    (following, start, first)
}

/// (identification, offset) of the fragment header (RFC 8200 section 4.5), if there is one that cuts the packet.
pub fn ipv6_fragment(packet: &[u8]) -> Option<(u32, u16)> {
    let (mut following, mut start) = (packet[6], 40);
    for _ in 0..MAX_EXTENSIONS {
        if packet.len() < start + 8 {
            return None;
        }
        let length = usize::from(packet[start + 1]);
        let size = match following {
            FRAGMENT => {
                let word = short(packet, start + 2);
                let number =
                    u32::from(short(packet, start + 4)) << 16 | u32::from(short(packet, start + 6));
                // An atomic fragment is whole (RFC 6946).
                return (word & 0xFFF9 != 0).then_some((number, word >> 3));
            }
            AUTHENTICATION => (length + 2) * 4,
            0 | 43 | 60 | 135 | 139 | 140 => (length + 1) * 8,
            _ => return None,
        };
        following = packet[start];
        start += size;
    }
    None
}
