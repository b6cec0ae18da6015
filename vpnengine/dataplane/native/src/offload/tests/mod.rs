//! Cutting, merging and checksums against plain models of them.

mod build;

use std::io::IoSlice;

use proptest::prelude::*;

use self::build::{Packet, packets, segment, slow_checksum};
use super::checksum;
use super::{
    Coalescer, GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, Malformed, NEEDS_CSUM, Plan,
    VIRTIO_LEN, VirtioHeader,
};

/// What the kernel puts before `packet` if it is to be cut into `mss`.
fn virtio(packet: &Packet, mss: usize) -> VirtioHeader {
    let kind = match (packet.tcp, packet.v6) {
        (true, false) => GSO_TCPV4,
        (true, true) => GSO_TCPV6,
        _ => GSO_UDP_L4,
    };
    let ecn = if packet.tcp && packet.flags & 0x80 != 0 {
        GSO_ECN
    } else {
        0
    };
    VirtioHeader {
        flags: NEEDS_CSUM,
        gso_type: kind | ecn,
        hdr_len: packet.headers() as u16,
        gso_size: mss as u16,
        csum_start: packet.l4() as u16,
        csum_offset: if packet.tcp { 16 } else { 6 },
    }
}

fn cut(header: &VirtioHeader, packet: &[u8]) -> Vec<Vec<u8>> {
    let plan = Plan::new(header, packet).unwrap();
    (0..plan.count())
        .map(|index| {
            let mut out = vec![0xee; plan.len(index)];
            assert_eq!(plan.write(index, &mut out), out.len());
            out
        })
        .collect()
}

/// What is written for `packets`, each write as its virtio header, packet and number of packets merged.
fn merge(packets: &[Vec<u8>]) -> Vec<(VirtioHeader, Vec<u8>, usize)> {
    let mut coalescer = Coalescer::new(true);
    let mut burst = coalescer.burst();
    packets.iter().for_each(|packet| burst.push(packet));
    let mut out = Vec::new();
    burst.finish(|slices: &[IoSlice<'_>], count| {
        let whole: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        out.push((
            VirtioHeader::parse(&whole).unwrap(),
            whole[VIRTIO_LEN..].to_vec(),
            count,
        ));
    });
    out
}

fn wires(packets: &[Packet]) -> Vec<Vec<u8>> {
    packets.iter().map(Packet::wire).collect()
}

/// The numbers of packets in each write.
fn counts(packets: &[Packet]) -> Vec<usize> {
    merge(&wires(packets)).iter().map(|write| write.2).collect()
}

proptest! {
    #[test]
    fn sums_as_rfc_1071_does(data in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(checksum::field(checksum::sum(&data)), slow_checksum(&[&data]));
    }

    #[test]
    fn an_updated_checksum_is_the_new_one(data in prop::collection::vec(any::<u8>(), 20..60), at in 0usize..9, new: [u8; 2]) {
        let mut data = data;
        data[0] |= 1; // RFC 1624 section 3: a sum of all zeros has two representations
        let before = slow_checksum(&[&data]);
        let old = [data[2 + 2 * at], data[3 + 2 * at]];
        data[2 + 2 * at..4 + 2 * at].copy_from_slice(&new);
        prop_assert_eq!(checksum::update(before, old, new), slow_checksum(&[&data]));
    }

    #[test]
    fn cuts_as_a_network_card_does(packet in packets(1, 20_000), mss in 500usize..9_000) {
        let expected = wires(&packet.cut(mss));
        prop_assert_eq!(cut(&virtio(&packet, mss), &packet.large()), expected);
    }

    #[test]
    fn all_but_the_last_have_one_length_and_lie_at_the_stride(packet in packets(1_000, 9_000)) {
        let (large, header) = (packet.large(), virtio(&packet, 900));
        let plan = Plan::new(&header, &large).unwrap();
        let (stride, headroom) = (plan.full_len() + 50, 16);
        let mut out = vec![0; plan.count() * stride];
        plan.write_all(&mut out, stride, headroom);
        for (index, expected) in cut(&header, &large).iter().enumerate() {
            prop_assert!(index + 1 == plan.count() || expected.len() == plan.full_len());
            prop_assert_eq!(&out[index * stride + headroom..][..expected.len()], &expected[..]);
        }
    }

    #[test]
    fn what_was_cut_merges_into_the_same(packet in packets(2_000, 30_000), mss in 500usize..2_000) {
        let packet = Packet { id: packet.id & 0xfff, ..packet };
        let mss = if packet.tcp { mss } else { mss.max(packet.payload.len().div_ceil(64)) };
        let writes = merge(&wires(&packet.cut(mss)));
        prop_assert_eq!(writes.len(), 1);
        let (header, whole, count) = &writes[0];
        let expected = if *count == 1 { packet.wire() } else { packet.large() };
        prop_assert_eq!(whole, &expected);
        if *count > 1 {
            prop_assert_eq!(*header, virtio(&packet, mss));
        }
    }

    /// Flows in any mixture, with whatever ends a merge: nothing is lost, changed or reordered within its flow.
    #[test]
    fn what_was_merged_cuts_into_the_same(stream in prop::collection::vec((0u8..4, 0u8..12, any::<u32>()), 1..120)) {
        let packets = wires(&mixed(&stream));
        let mut received = Vec::new();
        for (header, whole, count) in merge(&packets) {
            let parts = cut(&header, &whole);
            prop_assert_eq!(parts.len(), count);
            received.extend(parts);
        }
        prop_assert_eq!(received.len(), packets.len());
        for flow in 0..4 {
            let of_flow = |all: &[Vec<u8>]| -> Vec<Vec<u8>> {
                all.iter().filter(|p| p[15] == flow && p[0] == 0x45 || p[23] == flow && p[0] != 0x45).cloned().collect()
            };
            prop_assert_eq!(of_flow(&received), of_flow(&packets));
        }
    }

    #[test]
    fn any_octets_are_cut_or_refused(header in any::<[u8; 10]>(), data in prop::collection::vec(any::<u8>(), 0..400), version: bool) {
        let mut data = data;
        if let Some(first) = data.first_mut() {
            *first = if version { 0x45 } else { 0x60 };
        }
        let header = VirtioHeader::parse(&header).unwrap();
        let near = VirtioHeader { flags: 1, gso_type: [0, 1, 4, 5][usize::from(header.gso_type % 4)], csum_start: 20 + header.csum_start % 30, csum_offset: [6, 16][usize::from(header.flags % 2)], gso_size: header.gso_size % 50, ..header };
        for header in [header, near] {
            if let Ok(plan) = Plan::new(&header, &data) {
                let total: usize = (0..plan.count()).map(|index| plan.write(index, &mut vec![0; plan.len(index)])).sum();
                prop_assert!(total >= data.len());
            }
        }
    }

    #[test]
    fn any_octets_are_written_as_they_came(all in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..20)) {
        let written: Vec<Vec<u8>> = merge(&all).into_iter().map(|write| write.1).collect();
        prop_assert_eq!(written, all);
    }
}

/// A stream out of (flow, what happens, random) triples.
fn mixed(stream: &[(u8, u8, u32)]) -> Vec<Packet> {
    let mut next = [(1000u32, 100u16); 4];
    let one = |&(flow, event, random): &(u8, u8, u32)| {
        let (seq, id) = &mut next[usize::from(flow)];
        let mut packet = Packet {
            flow,
            v6: flow % 2 == 1,
            tcp: flow != 3,
            id: *id,
            ..segment(*seq, 300)
        };
        if !packet.tcp {
            packet.options.clear();
        }
        match event {
            0 => packet.flags |= 0x08,
            1 => packet.flags |= 0x01,
            2 => packet.flags |= 0x80,
            3 => packet.flags |= 0x40,
            4 => packet.payload.truncate(random as usize % 300),
            5 => packet.seq = random,
            6 => packet.ack = random,
            7 => packet.tos ^= 3,
            8 => packet.df = false,
            _ => {}
        }
        *seq = packet.seq.wrapping_add(packet.payload.len() as u32);
        *id = id.wrapping_add(1);
        packet
    };
    stream.iter().map(one).collect()
}

#[test]
fn a_partial_checksum_of_an_ordinary_packet_is_completed() {
    for packet in [
        segment(1, 77),
        Packet {
            v6: true,
            tcp: false,
            options: vec![],
            ..segment(1, 78)
        },
    ] {
        let header = VirtioHeader {
            gso_type: GSO_NONE,
            gso_size: 0,
            ..virtio(&packet, 1)
        };
        assert_eq!(cut(&header, &packet.large()), [packet.wire()]);
        assert_eq!(
            cut(&VirtioHeader::default(), &packet.wire()),
            [packet.wire()]
        );
    }
}

#[test]
fn refuses_what_does_not_agree_with_itself() {
    let packet = segment(1, 3_000);
    let (large, header) = (packet.large(), virtio(&packet, 1_000));
    let refused = |change: fn(&mut VirtioHeader)| {
        let mut header = header;
        change(&mut header);
        Plan::new(&header, &large).unwrap_err()
    };
    assert_eq!(refused(|h| h.gso_size = 0), Malformed::GsoSize);
    assert_eq!(refused(|h| h.gso_type = GSO_TCPV6), Malformed::GsoType);
    assert_eq!(refused(|h| h.gso_type = GSO_UDP_L4), Malformed::GsoType);
    assert_eq!(refused(|h| h.gso_type = 3), Malformed::GsoType);
    assert_eq!(refused(|h| h.flags = 0), Malformed::Checksum);
    assert_eq!(refused(|h| h.csum_start = 60_000), Malformed::Checksum);
    assert_eq!(
        Plan::new(&header, &large[..30]).unwrap_err(),
        Malformed::Checksum
    );
    assert_eq!(Plan::new(&header, &[]).unwrap_err(), Malformed::Truncated);
}

#[test]
fn a_segment_with_a_wrong_checksum_is_written_as_it_came() {
    let mut packets = wires(&segment(0, 3_000).cut(1_000));
    packets[1][100] ^= 1;
    let writes = merge(&packets);
    assert_eq!(
        writes.iter().map(|write| write.2).collect::<Vec<_>>(),
        [1, 1, 1]
    );
    assert_eq!(writes[1].1, packets[1]);
    // Neither does a wrong first one spread to those that follow.
    let mut packets = wires(&segment(0, 3_000).cut(1_000));
    packets[0][100] ^= 1;
    let writes = merge(&packets);
    assert_eq!(
        writes.iter().map(|write| write.2).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(writes[0].1, packets[0]);
}

#[test]
fn merges_interleaved_flows_each_into_its_own() {
    let flows: Vec<Vec<Packet>> = (0..5)
        .map(|flow| {
            Packet {
                flow,
                ..segment(0, 5_000)
            }
            .cut(1_000)
        })
        .collect();
    let packets: Vec<Packet> = (0..5)
        .flat_map(|at| flows.iter().map(move |flow| flow[at].clone()))
        .collect();
    assert_eq!(counts(&packets), [5; 5]);
}

#[test]
fn what_grants_no_merge_ends_one() {
    let parts = |change: &dyn Fn(&mut Packet)| {
        let mut packets = segment(0, 4_000).cut(1_000);
        change(&mut packets[2]);
        counts(&packets)
    };
    assert_eq!(parts(&|_| {}), [4]);
    assert_eq!(parts(&|p| p.seq += 1), [2, 1, 1]);
    assert_eq!(parts(&|p| p.ack += 1), [2, 1, 1]);
    assert_eq!(parts(&|p| p.flags |= 0x08), [3, 1]); // PSH
    assert_eq!(parts(&|p| p.flags |= 0x80), [2, 2]); // CWR: only the first may have it
    assert_eq!(parts(&|p| p.flags |= 0x20), [2, 1, 1]); // URG
    assert_eq!(parts(&|p| p.flags = 0x14), [2, 1, 1]); // RST
    assert_eq!(parts(&|p| p.options[7] += 1), [2, 1, 1]); // timestamp
    assert_eq!(parts(&|p| p.tos = 3), [2, 1, 1]); // CE
    assert_eq!(parts(&|p| p.ttl -= 1), [2, 1, 1]);
    assert_eq!(parts(&|p| p.id += 5), [2, 1, 1]);
    assert_eq!(parts(&|p| p.payload.truncate(10)), [3, 1]);
    assert_eq!(parts(&|p| p.payload.clear()), [2, 1, 1]);
}

#[test]
fn a_standing_identification_merges_with_df_only() {
    let with = |df: bool| -> Vec<Packet> {
        segment(0, 3_000)
            .cut(1_000)
            .into_iter()
            .map(|p| Packet { id: 0, df, ..p })
            .collect()
    };
    assert_eq!(counts(&with(true)), [3]);
    assert_eq!(counts(&with(false)), [1, 1, 1]);
}

#[test]
fn a_large_packet_has_at_most_65_535_octets_and_64_datagrams() {
    assert_eq!(counts(&segment(0, 132_000).cut(1_000)), [65, 65, 2]);
    let datagrams: Vec<Packet> = (0..70)
        .map(|id| Packet {
            tcp: false,
            options: vec![],
            id,
            ..segment(0, 100)
        })
        .collect();
    assert_eq!(counts(&datagrams), [64, 6]);
}

#[test]
fn without_uso_no_datagrams_are_merged() {
    let packets = wires(&[
        Packet {
            tcp: false,
            options: vec![],
            ..segment(0, 900)
        },
        segment(5, 10),
    ]);
    let mut coalescer = Coalescer::new(false);
    let mut burst = coalescer.burst();
    packets
        .iter()
        .chain([&packets[0]])
        .for_each(|packet| burst.push(packet));
    let mut seen = Vec::new();
    burst.finish(|_, count| seen.push(count));
    assert_eq!(seen, [1, 1, 1]);
}

#[test]
fn the_memory_of_a_burst_serves_the_next() {
    let packets = wires(&segment(0, 5_000).cut(1_000));
    let mut coalescer = Coalescer::new(true);
    for _ in 0..3 {
        let mut burst = coalescer.burst();
        packets.iter().for_each(|packet| burst.push(packet));
        burst.finish(|slices, count| assert_eq!((slices.len(), count), (7, 5)));
        assert!(coalescer.capacity() >= 4);
    }
}
