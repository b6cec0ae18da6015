//! Any packets as what comes out of a tunnel: merged, then cut again, they are the same. Each begins behind its length
//! in two octets; with the length's highest bit its checksums are made right, so that it can merge.
#![no_main]

use culvert_native::offload::headers::Transport;
use culvert_native::offload::{Coalescer, Plan, VIRTIO_LEN, VirtioHeader, checksum};
use libfuzzer_sys::fuzz_target;

fn right(packet: &mut [u8]) {
    if packet.len() >= 20 && packet[0] == 0x45 {
        packet[10..12].fill(0);
        let field = checksum::field(checksum::sum(&packet[..20]));
        packet[10..12].copy_from_slice(&field);
    }
    let Some(transport) = Transport::parse(packet) else { return };
    let at = transport.l4 + transport.checksum_offset();
    packet[at..at + 2].fill(0);
    let sum = transport.pseudo(packet, packet.len() - transport.l4) + checksum::sum(&packet[transport.l4..]);
    packet[at..at + 2].copy_from_slice(&checksum::nonzero_field(sum));
}

fuzz_target!(|data: &[u8]| {
    let mut packets = Vec::new();
    let mut rest = data;
    while let [high, low, behind @ ..] = rest {
        let length = (usize::from(high & 0x07) << 8 | usize::from(*low)).min(behind.len());
        let mut packet = behind[..length].to_vec();
        if high & 0x80 != 0 {
            right(&mut packet);
        }
        packets.push(packet);
        rest = &behind[length..];
    }
    let mut coalescer = Coalescer::new(true);
    let mut burst = coalescer.burst();
    packets.iter().for_each(|packet| burst.push(packet));
    let mut seen = 0;
    burst.finish(|parts, count| {
        let whole: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let header = VirtioHeader::parse(&whole).expect("a header comes first");
        seen += count;
        if count == 1 {
            assert!(packets.iter().any(|packet| packet[..] == whole[VIRTIO_LEN..]));
            return;
        }
        let plan = Plan::new(&header, &whole[VIRTIO_LEN..]).expect("what was merged can be cut");
        assert_eq!(plan.count(), count);
        let mut out = vec![0; plan.full_len()];
        for index in 0..count {
            let length = plan.write(index, &mut out);
            let transport = Transport::parse(&out[..length]).expect("each part is a packet");
            assert!(transport.checksum_is_right(&out[..length]));
            // Identification and window may be another packet's; the payload is one that came in.
            let payload = &out[transport.payload..length];
            assert!(packets.iter().any(|packet| packet.ends_with(payload)));
        }
    });
    assert_eq!(seen, packets.len());
});
