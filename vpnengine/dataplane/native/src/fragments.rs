//! Ports of IP fragments: only the first one has them, and the others belong where it went (RFC 4301 section 7).

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::flow::{Flow, ipv6_fragment, with_ports};

const MAX_KNOWN: usize = 1024;
/// As hosts keep what they put together, in nanoseconds (RFC 1122 section 3.3.2 has 60 to 120 seconds as the most).
const KEEP_NS: u64 = 30_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    place: u32,
    source: u128,
    destination: u128,
    protocol: u8,
    number: u32,
}

struct Seen {
    at: u64,
    serial: u64,
    ports: (u16, u16),
}

/// The ports of first fragments that have been seen lately; the oldest make room.
#[derive(Default)]
pub struct Fragments {
    known: FxHashMap<Key, Seen>,
    order: VecDeque<(Key, u64)>,
    serial: u64,
}

impl Fragments {
    /// The flow with the ports of the fragment's packet, if its first fragment has passed here. `place` keeps one SA's
    /// packets from another's apart.
    pub fn complete(
        &mut self,
        flow: Flow,
        packet: &[u8],
        place: u32,
        now: impl Fn() -> u64,
    ) -> Flow {
        let Some((number, first)) = with_ports(flow.protocol).then(|| part_of(packet)).flatten()
        else {
            return flow;
        };
        let Flow {
            source,
            destination,
            protocol,
            ..
        } = flow;
        let key = Key {
            place,
            source,
            destination,
            protocol,
            number,
        };
        if first {
            self.learn(key, flow.ports, now());
            return flow;
        }
        let ports = self
            .known
            .get(&key)
            .filter(|seen| now() - seen.at < KEEP_NS)
            .map(|seen| seen.ports);
        Flow { ports, ..flow }
    }

    fn learn(&mut self, key: Key, ports: Option<(u16, u16)>, at: u64) {
        let Some(ports) = ports else {
            // Too short to have them: nothing may follow it.
            self.known.remove(&key);
            return;
        };
        self.serial += 1;
        let serial = self.serial;
        self.known.insert(key, Seen { at, serial, ports });
        self.order.push_back((key, serial));
        while self.order.len() > MAX_KNOWN {
            let Some((oldest, serial)) = self.order.pop_front() else {
                break;
            };
            if self
                .known
                .get(&oldest)
                .is_some_and(|seen| seen.serial == serial)
            {
                self.known.remove(&oldest);
            }
        }
    }
}

/// (identification, whether it is the first) of a fragment; None if the packet is whole.
fn part_of(packet: &[u8]) -> Option<(u32, bool)> {
    if packet[0] >> 4 == 6 {
        return ipv6_fragment(packet).map(|(number, offset)| (number, offset == 0));
    }
    let place = u16::from_be_bytes([packet[6], packet[7]]);
    let number = u16::from_be_bytes([packet[4], packet[5]]);
    (place & 0x3FFF != 0).then_some((number.into(), place & 0x1FFF == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::packet_flow;

    fn part(number: u16, place: u16, ports: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
        packet[4..6].copy_from_slice(&number.to_be_bytes());
        packet[6..8].copy_from_slice(&place.to_be_bytes());
        packet.extend([10, 1, 0, 1, 10, 2, 0, 1]);
        packet.extend(ports);
        packet.extend([0; 4]);
        packet
    }

    fn ports(fragments: &mut Fragments, packet: &[u8], now: u64) -> Option<(u16, u16)> {
        let flow = packet_flow(packet).unwrap();
        fragments.complete(flow, packet, 0, || now).ports
    }

    #[test]
    fn later_fragments_have_the_first_ones_ports_for_a_while() {
        let mut fragments = Fragments::default();
        let later = part(7, 185, [9; 4]);
        assert_eq!(ports(&mut fragments, &later, 1), None);
        assert_eq!(
            ports(&mut fragments, &part(7, 0x2000, [0, 53, 1, 0]), 1),
            Some((53, 256))
        );
        assert_eq!(ports(&mut fragments, &later, 2), Some((53, 256)));
        assert_eq!(ports(&mut fragments, &part(8, 185, [9; 4]), 2), None);
        assert_eq!(ports(&mut fragments, &later, 1 + KEEP_NS), None);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut fragments = Fragments::default();
        for number in 0..=MAX_KNOWN as u16 {
            ports(&mut fragments, &part(number, 0x2000, [0, 53, 1, 0]), 1);
        }
        assert_eq!(fragments.known.len(), MAX_KNOWN);
        assert_eq!(ports(&mut fragments, &part(0, 185, [9; 4]), 1), None);
        assert_eq!(
            ports(&mut fragments, &part(1, 185, [9; 4]), 1),
            Some((53, 256))
        );
    }
}
