//! The way in: octets from the network, and what a peer that has the keys may have put into its packets.
//!
//! Input: SA, flags, next header, then packets, each behind its length in two octets.
#![no_main]

#[path = "common.rs"]
mod common;

use common::{Sa, WORLD};
use culvert_native::esp::{Engine, OpenJob, ReplayWindow, SealJob};
use culvert_native::inner::{self, icmp, mss, walk};
use culvert_native::offload::{Coalescer, VIRTIO_LEN};
use libfuzzer_sys::fuzz_target;

fn pieces(mut data: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while data.len() > 2 && found.len() < 70 {
        let length = usize::from(u16::from_be_bytes([data[0], data[1]])).min(data.len() - 2);
        found.push(&data[2..2 + length]);
        data = &data[2 + length..];
    }
    found
}

/// Authentic packets with arbitrary contents.
fn seal(engine: &mut Engine, sa: &Sa, payloads: &[&[u8]], next_header: u8) -> Vec<Vec<u8>> {
    let (offset, mut buffers) = (sa.suite.offset(), Vec::new());
    for payload in payloads {
        let mut buffer = vec![0; sa.suite.sealed_len(payload.len())];
        buffer[offset..offset + payload.len()].copy_from_slice(payload);
        buffers.push(buffer);
    }
    let mut jobs: Vec<_> = buffers
        .iter_mut()
        .zip(payloads)
        .enumerate()
        .map(|(index, (buffer, payload))| {
            SealJob::new(
                &sa.seal,
                buffer,
                payload.len(),
                index as u64 + 1,
                next_header,
            )
        })
        .collect();
    engine.seal(&mut jobs);
    assert!(jobs.iter().all(|job| job.sealed.is_some()));
    buffers
}

fuzz_target!(|data: &[u8]| {
    let [which, flags, next_header, rest @ ..] = data else {
        return;
    };
    WORLD.with_borrow_mut(|world| {
        let sa = &world.sas[usize::from(*which) % world.sas.len()];
        let [best, openssl] = &mut world.engines;
        let engine = if flags & 1 == 0 { best } else { openssl };
        let payloads = pieces(rest);
        let forged = flags & 2 != 0;
        let mut packets = if forged {
            payloads.iter().map(|payload| payload.to_vec()).collect()
        } else {
            seal(engine, sa, &payloads, *next_header)
        };
        let mut window = ReplayWindow::new(64, sa.suite.esn());
        let mut jobs = Vec::new();
        for packet in &mut packets {
            let number = packet
                .get(4..8)
                .and_then(|low| window.check(u32::from_be_bytes(low.try_into().ok()?)));
            if let Some(number) = number {
                jobs.push(OpenJob::new(&sa.open, packet, number));
            }
        }
        engine.open(&mut jobs);
        let mut inside: Vec<Vec<u8>> = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            let Ok(at) = job.opened else {
                assert!(forged, "an authentic packet was refused");
                continue;
            };
            assert!(!forged, "a forgery was taken");
            assert!(window.commit(job.sequence) && !window.commit(job.sequence));
            assert_eq!(&job.packet[at.offset..at.offset + at.len], payloads[index]);
            if let Ok(at) = at.tunnel(job.packet) {
                inside.push(job.packet[at.offset..at.offset + at.len].to_vec());
            }
        }
        for packet in &mut inside {
            let length = packet.len();
            inner::take_outer_tos(packet, flags >> 2);
            mss::clamp(packet, 1300);
            inner::decrement_ttl(packet);
            let _ = (
                walk::upper(packet),
                icmp::too_big(packet, 1280),
                inner::dont_fragment(packet),
            );
            assert_eq!(packet.len(), length);
        }
        let mut coalescer = Coalescer::new(flags & 4 != 0);
        let mut burst = coalescer.burst();
        inside.iter().for_each(|packet| burst.push(packet));
        let mut handed = 0;
        burst.finish(|slices, count| {
            assert!(count > 0 && slices[0].len() == VIRTIO_LEN);
            assert!(
                slices.iter().map(|slice| slice.len()).sum::<usize>() <= VIRTIO_LEN + 65_535 + 40
            );
            handed += count;
        });
        assert_eq!(handed, inside.len());
    });
});
