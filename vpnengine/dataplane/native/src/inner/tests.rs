//! Each rule over all its cases, or against a plain model of it.

use proptest::prelude::*;

use super::ecn::{CE, ECT_0, ECT_1, NOT_ECT};
use super::fragment::Fragments;
use super::mtu::{Outer, inner_mtu};
use super::*;
use crate::esp::Suite;
use crate::offload::headers::be32;

fn whole_v4(header: &[u8]) -> bool {
    checksum::whole(checksum::sum(&header[..usize::from(header[0] & 15) * 4]))
}

/// An IPv4 packet with `options` and a payload of ascending octets.
fn v4(tos: u8, word: u16, protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let mut out = vec![0x40 | (header / 4) as u8, tos];
    out.extend(((header + payload.len()) as u16).to_be_bytes());
    out.extend([0x12, 0x34]);
    out.extend(word.to_be_bytes());
    out.extend([64, protocol, 0, 0, 10, 1, 1, 1, 10, 2, 2, 2]);
    out.extend(options);
    let field = checksum::field(checksum::sum(&out));
    out[10..12].copy_from_slice(&field);
    out.extend(payload);
    out
}

fn v6(tos: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60 | tos >> 4, tos << 4 | 0x0a, 0xbc, 0xde];
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend([next, 64]);
    for side in 1..=2 {
        out.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, side]);
    }
    out.extend(payload);
    out
}

fn suites() -> Vec<Suite> {
    let names = [
        ("aes128gcm16", None),
        ("aes256", Some("sha1")),
        ("aes256", Some("sha512")),
    ];
    names
        .iter()
        .filter_map(|(cipher, integrity)| Suite::parse(cipher, *integrity, false).ok())
        .collect()
}

#[test]
fn ecn_follows_figure_4_of_rfc_6040() {
    // Rows: inner; columns: outer Not-ECT, ECT(0), ECT(1), CE.
    let outer = [NOT_ECT, ECT_0, ECT_1, CE];
    let table = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
        (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ];
    for (inner, row) in table {
        assert_eq!(ecn::encapsulate(inner), inner);
        for (outer, expected) in outer.into_iter().zip(row) {
            for mut packet in [
                v4(0xb8 | inner, 0, 17, &[], b"data"),
                v6(0xb8 | inner, 17, b"data"),
            ] {
                let before = packet.clone();
                assert_eq!(
                    take_outer_tos(&mut packet, 0x48 | outer),
                    expected.is_some()
                );
                let tos = expected.map_or(0xb8 | inner, |ecn| 0xb8 | ecn);
                assert_eq!(
                    super::tos(&packet),
                    Some(tos),
                    "inner {inner} outer {outer}"
                );
                set_tos(&mut packet, 0xb8 | inner);
                assert_eq!(packet, before);
            }
        }
    }
}

#[test]
fn dscp_is_copied_only_where_asked() {
    for packet in [v4(0xba, 0, 17, &[], b""), v6(0xba, 17, b"")] {
        assert_eq!(outer_tos(&packet, true), 0xba);
        assert_eq!(outer_tos(&packet, false), 0x02);
    }
    assert_eq!(outer_tos(b"no packet", true), 0);
}

#[test]
fn df_is_copied_set_or_clear() {
    let cases = [
        (v4(0, 0x4000, 17, &[], b""), true),
        (v4(0, 0, 17, &[], b""), false),
        (v6(0, 17, b""), true),
    ];
    for (packet, has) in cases {
        assert_eq!(Df::Copy.outer(&packet), has);
        assert!(Df::Set.outer(&packet));
        assert!(!Df::Clear.outer(&packet));
    }
}

#[test]
fn the_last_hop_is_not_taken() {
    let mut packets = [v4(0, 0, 17, &[], b"data"), v6(0, 17, b"data")];
    for packet in &mut packets {
        let at = if packet[0] >> 4 == 4 { 8 } else { 7 };
        for left in (1..64).rev() {
            assert!(decrement_ttl(packet));
            assert_eq!(packet[at], left);
            assert!(at == 7 || whole_v4(packet));
        }
        assert!(!decrement_ttl(packet));
        assert_eq!(packet[at], 1);
    }
}

#[test]
fn the_largest_inner_packet_fits_and_one_octet_more_does_not() {
    assert_eq!(suites().len(), 3);
    for suite in suites() {
        for outer in [(false, false), (false, true), (true, false), (true, true)] {
            let outer = Outer {
                v6: outer.0,
                udp: outer.1,
            };
            for path in (120..1600).chain([9000, 65_535]) {
                let inner = inner_mtu(path, outer, suite);
                assert!(inner > 0 && outer.headers() + suite.sealed_len(inner) <= path);
                assert!(
                    outer.headers() + suite.sealed_len(inner + 1) > path,
                    "{suite:?} {outer:?} {path}"
                );
            }
            assert_eq!(inner_mtu(40, outer, suite), 0);
        }
    }
}

#[test]
fn says_fragmentation_needed_to_the_sender() {
    let packet = v4(0, 0x4000, 17, &[], &[7; 1400]);
    let answer = icmp::too_big(&packet, 1320).unwrap();
    assert_eq!(answer.len(), 576);
    assert!(whole_v4(&answer) && checksum::whole(checksum::sum(&answer[20..])));
    assert_eq!(
        (answer[9], &answer[12..16], &answer[16..20]),
        (1, &packet[16..20], &packet[12..16])
    );
    assert_eq!((answer[20], answer[21], be16(&answer, 26)), (3, 4, 1320));
    assert_eq!(answer[28..], packet[..548]);
}

#[test]
fn says_packet_too_big_to_the_sender() {
    let packet = v6(0, 6, &[7; 1400]);
    let answer = icmp::too_big(&packet, 1320).unwrap();
    assert_eq!(answer.len(), 1280);
    assert_eq!(usize::from(be16(&answer, 4)) + 40, answer.len());
    let addresses = (
        checksum::sum(&answer[8..40]),
        checksum::length_and_protocol(58, 1240),
    );
    assert!(checksum::whole(
        addresses.0 + addresses.1 + checksum::sum(&answer[40..])
    ));
    assert_eq!(
        (answer[6], &answer[8..24], &answer[24..40]),
        (58, &packet[24..40], &packet[8..24])
    );
    assert_eq!((answer[40], answer[41], be32(&answer, 44)), (2, 0, 1320));
    assert_eq!(answer[48..], packet[..1232]);
    assert_eq!(be32(&icmp::too_big(&packet, 600).unwrap(), 44), 1280);
}

#[test]
fn is_silent_where_an_error_may_not_be_told() {
    let udp = |source: [u8; 4], destination: [u8; 4]| {
        let mut packet = v4(0, 0x4000, 17, &[], &[0; 1400]);
        packet[12..16].copy_from_slice(&source);
        packet[16..20].copy_from_slice(&destination);
        packet
    };
    assert!(icmp::too_big(&udp([10, 1, 1, 1], [10, 2, 2, 2]), 1300).is_some());
    assert!(icmp::too_big(&udp([0; 4], [10, 2, 2, 2]), 1300).is_none());
    assert!(icmp::too_big(&udp([10, 1, 1, 1], [224, 0, 0, 1]), 1300).is_none());
    assert!(icmp::too_big(&udp([10, 1, 1, 1], [255; 4]), 1300).is_none());
    let message = |kind: u8| {
        v4(
            0,
            0x4000,
            1,
            &[],
            &[&[kind, 0, 0, 0][..], &[0; 1400]].concat(),
        )
    };
    assert!(icmp::too_big(&message(8), 1300).is_some());
    assert!(icmp::too_big(&message(3), 1300).is_none());
    assert!(icmp::too_big(&v4(0, 0x2001, 17, &[], &[0; 1400]), 1300).is_none());
    let message = |kind: u8| v6(0, 58, &[&[kind, 0, 0, 0][..], &[0; 1400]].concat());
    assert!(icmp::too_big(&message(128), 1300).is_some());
    assert!(icmp::too_big(&message(1), 1300).is_none());
    assert!(icmp::too_big(&v6(0, 17, &[0; 1240]), 1000).is_none());
}

/// A TCP header with these options, padded, and whole checksum under the addresses of `v4` and `v6`.
fn tcp(flags: u8, options: &[u8], is_v6: bool, before: &[u8]) -> Vec<u8> {
    let mut options = options.to_vec();
    options.resize(options.len().next_multiple_of(4), 1);
    let mut out = vec![0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2];
    out.extend([
        (5 + options.len() as u8 / 4) << 4,
        flags,
        0x20,
        0,
        0,
        0,
        0,
        0,
    ]);
    out.extend(options);
    out.extend(b"odd");
    let length = checksum::length_and_protocol(6, out.len());
    let packet = if is_v6 {
        v6(0, 6, &[])
    } else {
        v4(0, 0, 6, &[], &[])
    };
    let addresses = checksum::sum(if is_v6 {
        &packet[8..40]
    } else {
        &packet[12..20]
    });
    let field = checksum::field(addresses + length + checksum::sum(&out));
    out[16..18].copy_from_slice(&field);
    let all = [before, &out].concat();
    match (is_v6, before.is_empty()) {
        (false, _) => v4(0, 0, 6, before, &out),
        (true, true) => v6(0, 6, &all),
        (true, false) => v6(0, 60, &all),
    }
}

#[test]
fn mss_is_lowered_wherever_the_option_stands() {
    let destination_options = [6, 0, 1, 4, 0, 0, 0, 0];
    for (is_v6, before) in [
        (false, &[][..]),
        (false, &[1, 1, 1, 1][..]),
        (true, &[]),
        (true, &destination_options),
    ] {
        for shift in 0..4 {
            let options = [&vec![1; shift][..], &[2, 4, 0x05, 0xb4, 3, 3, 7]].concat();
            let mut packet = tcp(0x02, &options, is_v6, before);
            let before_clamp = packet.clone();
            assert!(!mss::clamp(&mut packet, 1460));
            assert_eq!(packet, before_clamp);
            assert!(mss::clamp(&mut packet, 1234));
            let expected = [&vec![1; shift][..], &[2, 4, 0x04, 0xd2, 3, 3, 7]].concat();
            assert_eq!(packet, tcp(0x02, &expected, is_v6, before), "shift {shift}");
        }
    }
}

#[test]
fn mss_is_left_alone_where_there_is_none() {
    let cases = [
        tcp(0x10, &[2, 4, 0x05, 0xb4], false, &[]), // no SYN
        tcp(0x02, &[], false, &[]),
        tcp(0x02, &[0, 2, 4, 5, 0xb4], false, &[]), // behind the end of the options
        tcp(
            0x02,
            &[3, 0, 2, 4, 5, 0xb4, 1, 1],
            true,
            &[2, 0, 1, 4, 0, 0, 0, 0],
        ),
        v4(0, 0, 17, &[], &[2; 60]),
        b"E no packet".to_vec(),
    ];
    for packet in cases {
        let mut after = packet.clone();
        assert!(!mss::clamp(&mut after, 100));
        assert_eq!(after, packet);
    }
    assert_eq!(
        (
            mss::fitting(1400, false),
            mss::fitting(1400, true),
            mss::fitting(20, true)
        ),
        (1360, 1340, 1)
    );
}

fn fragments(packet: &[u8], mtu: usize) -> Option<Vec<Vec<u8>>> {
    let plan = Fragments::new(packet, mtu)?;
    let one = |index| {
        let mut out = vec![0xee; plan.max_len()];
        let length = plan.write(index, &mut out);
        out.truncate(length);
        out
    };
    Some((0..plan.count()).map(one).collect())
}

/// Put payloads where their offsets say; the length that the last fragment gives.
fn reassemble(fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for fragment in fragments {
        let at = usize::from(be16(fragment, 6) & 0x1fff) * 8;
        let payload = &fragment[usize::from(fragment[0] & 15) * 4..];
        assert_eq!(at, out.len());
        out.extend(payload);
    }
    out
}

#[test]
fn options_go_into_later_fragments_only_if_they_say_so() {
    let options = [0x07, 7, 4, 0, 0, 0, 0, 0x94, 4, 0, 0, 1]; // record route; router alert, which is copied
    let all = fragments(&v4(0, 0, 17, &options, &[5; 100]), 60).unwrap();
    assert_eq!(all[0][20..32], options);
    assert!(
        all[1..]
            .iter()
            .all(|one| one[0] == 0x46 && one[20..24] == [0x94, 4, 0, 0])
    );
    assert_eq!(reassemble(&all), [5; 100]);
}

#[test]
fn df_and_ipv6_are_never_fragmented() {
    assert!(fragments(&v4(0, 0x4000, 17, &[], &[0; 100]), 60).is_none());
    assert!(fragments(&v4(0, 0x4000, 17, &[], &[0; 40]), 60).is_some());
    assert!(fragments(&v6(0, 17, &[0; 100]), 60).is_none());
    assert!(fragments(&v4(0, 0, 17, &[], &[0; 100]), 27).is_none());
}

proptest! {
    #[test]
    fn fragments_are_the_packet(length in 0usize..4000, mtu in 28usize..1600, more: bool, offset in 0u16..500) {
        let payload: Vec<u8> = (0..length).map(|at| ((at * 31) >> 3) as u8).collect();
        let word = u16::from(more) << 13 | offset;
        let packet = v4(0x28, word, 17, &[], &payload);
        let all = fragments(&packet, mtu).unwrap();
        let mut at = usize::from(offset) * 8;
        for (index, one) in all.iter().enumerate() {
            prop_assert!(one.len() <= mtu && whole_v4(one));
            prop_assert_eq!(usize::from(be16(one, 2)), one.len());
            prop_assert_eq!(usize::from(be16(one, 6) & 0x1fff) * 8, at);
            prop_assert_eq!(be16(one, 6) & 0x2000 != 0, more || index + 1 < all.len());
            prop_assert_eq!(&one[4..6], &packet[4..6]);
            at += one.len() - 20;
        }
        let joined: Vec<u8> = all.iter().flat_map(|one| one[20..].to_vec()).collect();
        prop_assert_eq!(joined, payload);
    }

    #[test]
    fn any_octets_are_survived(mut data in prop::collection::vec(any::<u8>(), 0..1500), kind in 0usize..4, mtu in 0usize..2000, tos: u8) {
        if let Some(first) = data.first_mut() {
            *first = [0x45, 0x60, 0x4f, *first][kind];
        }
        if kind != 1 && data.len() > 4 {
            let length = data.len() as u16;
            data[2..4].copy_from_slice(&length.to_be_bytes());
        }
        outer_tos(&data, true);
        mss::clamp(&mut data, 1000);
        decrement_ttl(&mut data);
        take_outer_tos(&mut data, tos);
        if let Some(answer) = icmp::too_big(&data, mtu) {
            prop_assert!(icmp::too_big(&answer, mtu).is_none());
        }
        fragments(&data, mtu);
    }
}
