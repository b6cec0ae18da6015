//! Any octets as an inner packet, under every rule for its headers. The first four are the numbers that the rules take.
#![no_main]

use culvert_native::inner::fragment::Fragments;
use culvert_native::inner::{decrement_ttl, icmp, mss, outer_tos, take_outer_tos, walk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [tos, ttl, high, low, packet @ ..] = data else { return };
    let number = usize::from(u16::from_be_bytes([*high, *low]));
    let mut packet = packet.to_vec();
    if let Some(upper) = walk::upper(&packet) {
        assert!(upper.at <= packet.len());
    }
    outer_tos(&packet, *tos & 1 != 0);
    take_outer_tos(&mut packet, *tos);
    if ttl & 1 != 0 {
        decrement_ttl(&mut packet);
    }
    if mss::clamp(&mut packet, number as u16) {
        assert!(!mss::clamp(&mut packet, number as u16));
    }
    if let Some(answer) = icmp::too_big(&packet, number) {
        assert!(answer.len() <= 1280);
        assert!(icmp::too_big(&answer, number).is_none());
    }
    if let Some(plan) = Fragments::new(&packet, number) {
        let mut out = vec![0; plan.max_len()];
        for index in 0..plan.count() {
            let length = plan.write(index, &mut out);
            assert!(length <= number || plan.count() == 1);
        }
    }
});
