//! The way out, and back in again: a super packet from the TUN device is cut, sealed, opened, merged and cut anew; the
//! segments have to be the same.
//!
//! Input: SA, flags, then what a read of the TUN device brings: a virtio header and a packet.
#![no_main]

#[path = "common.rs"]
mod common;

use common::WORLD;
use culvert_native::esp::{NEXT_IPV4, NEXT_IPV6, OpenJob, SealJob};
use culvert_native::inner::{self, fragment::Fragments, icmp, mss, walk};
use culvert_native::offload::{Coalescer, Plan, VIRTIO_LEN, VirtioHeader};
use libfuzzer_sys::fuzz_target;

/// Without what merging may change: identification and header checksum of IPv4.
fn comparable(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet.len() >= 20 && packet[0] >> 4 == 4 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

fn cut(data: &[u8]) -> Option<Vec<Vec<u8>>> {
    let header = VirtioHeader::parse(data)?;
    let plan = Plan::new(&header, &data[VIRTIO_LEN..]).ok()?;
    let segments = (0..plan.count().min(200)).map(|index| {
        let mut out = vec![0xee; plan.len(index) + 8];
        assert_eq!(plan.write(index, &mut out), plan.len(index));
        assert_eq!(out.split_off(plan.len(index)), [0xee; 8]);
        assert!(out.len() <= plan.full_len());
        out
    });
    Some(segments.collect())
}

fuzz_target!(|data: &[u8]| {
    let [which, flags, rest @ ..] = data else {
        return;
    };
    if rest.len() > VIRTIO_LEN + 65_535 {
        return;
    }
    let Some(segments) = cut(rest) else { return };
    WORLD.with_borrow_mut(|world| {
        let sa = &world.sas[usize::from(*which) % world.sas.len()];
        let engine = &mut world.engines[usize::from(flags & 1)];
        let offset = sa.suite.offset();
        let mut buffers: Vec<Vec<u8>> = Vec::new();
        for segment in &segments {
            let mut buffer = vec![0; sa.suite.sealed_len(segment.len())];
            buffer[offset..offset + segment.len()].copy_from_slice(segment);
            let packet = &mut buffer[offset..offset + segment.len()];
            let mut scratch = packet.to_vec();
            mss::clamp(&mut scratch, 1200);
            inner::decrement_ttl(&mut scratch);
            let _ = (
                walk::upper(packet),
                icmp::too_big(packet, 1280),
                inner::outer_tos(packet, flags & 2 != 0),
            );
            if let Some(fragments) = Fragments::new(packet, 68 + usize::from(*flags) * 5) {
                let mut out = vec![0; fragments.max_len()];
                for index in 0..fragments.count().min(200) {
                    assert!(fragments.write(index, &mut out) <= out.len());
                }
            }
            buffers.push(buffer);
        }
        let mut jobs: Vec<_> = buffers
            .iter_mut()
            .zip(&segments)
            .enumerate()
            .map(|(index, (buffer, segment))| {
                let next_header = if segment.first().is_some_and(|octet| octet >> 4 == 6) {
                    NEXT_IPV6
                } else {
                    NEXT_IPV4
                };
                SealJob::new(
                    &sa.seal,
                    buffer,
                    segment.len(),
                    index as u64 + 1,
                    next_header,
                )
            })
            .collect();
        engine.seal(&mut jobs);
        assert!(jobs.iter().all(|job| job.sealed.is_some()));
        let mut jobs: Vec<_> = buffers
            .iter_mut()
            .enumerate()
            .map(|(index, buffer)| OpenJob::new(&sa.open, buffer, index as u64 + 1))
            .collect();
        world.engines[usize::from(flags >> 1 & 1)].open(&mut jobs);
        let mut inside = Vec::new();
        for (job, segment) in jobs.iter().zip(&segments) {
            let at = job.opened.expect("our own packet");
            assert_eq!(&job.packet[at.offset..at.offset + at.len], segment);
            if let Ok(at) = at.tunnel(job.packet) {
                inside.push(&job.packet[at.offset..at.offset + at.len]);
            }
        }
        let mut coalescer = Coalescer::new(flags & 4 != 0);
        let mut burst = coalescer.burst();
        inside.iter().for_each(|packet| burst.push(packet));
        let mut again = Vec::new();
        burst.finish(|slices, count| {
            let whole: Vec<u8> = slices
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect();
            // What was not merged is as it came, be it IP or not.
            let parts = if count == 1 {
                vec![whole[VIRTIO_LEN..].to_vec()]
            } else {
                cut(&whole).expect("what we merge can be cut")
            };
            assert_eq!(parts.len(), count);
            again.extend(parts.iter().map(|part| comparable(part)));
        });
        let mut expected: Vec<Vec<u8>> = inside.iter().map(|packet| comparable(packet)).collect();
        expected.sort();
        again.sort();
        assert_eq!(again, expected);
    });
});
