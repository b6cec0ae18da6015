//! What becomes of inner packets whose ESP packets are larger than the path's MTU (RFC 4301 section 8.2).

use std::io::IoSlice;
use std::sync::atomic::Ordering;

use crate::inner::fragment::Fragments;
use crate::inner::{IPV6_MIN_MTU, dont_fragment, icmp};
use crate::offload::segment::Plan;
use crate::offload::{VIRTIO_LEN, VirtioHeader};
use crate::sa::Sa;
use crate::tun::Queue;
use crate::udp::PathMtu;

/// How long an answer about a path counts, in nanoseconds. Until then the kernel fragments what has become too large.
const ASK_NS: u64 = 1_000_000_000;
/// If no route leads to the peer now; it will be asked for again.
const ETHERNET: usize = 1500;
/// ICMP errors that are told inward in a second (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)).
const ANSWERS: u32 = 200;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It fits, or the outer packet is fragmented.
    Send,
    /// Fragment it, then seal each fragment.
    Fragment,
    /// Tell its sender, and drop it.
    Tell,
}

/// The largest inner packet that fits the SA's path at present.
pub fn mtu(path: &PathMtu, sa: &Sa, now: u64) -> usize {
    let asked = sa.mtu.asked.load(Ordering::Relaxed);
    if asked != 0 && now.saturating_sub(asked) < ASK_NS {
        return sa.mtu.inner.load(Ordering::Relaxed);
    }
    let path = path.ask(sa.ends.load().remote).unwrap_or(ETHERNET);
    let inner = sa.inner_mtu(path);
    sa.mtu.inner.store(inner, Ordering::Relaxed);
    sa.mtu.asked.store(now, Ordering::Relaxed);
    inner
}

/// What the peer's rules say about a packet, or packets, of which the longest has `length` octets.
pub fn judge(sa: &Sa, packet: &[u8], length: usize, mtu: usize) -> Fit {
    if length <= mtu {
        return Fit::Send;
    }
    if !dont_fragment(packet) {
        return if sa.rules.fragment_after {
            Fit::Send
        } else {
            Fit::Fragment
        };
    }
    // Every path has to carry IPv6 packets of 1280 octets (RFC 8200 section 5), in pieces if need be.
    let small = packet[0] >> 4 == 6 && length <= IPV6_MIN_MTU;
    if small || !sa.rules.df.outer(packet) {
        Fit::Send
    } else {
        Fit::Tell
    }
}

/// Each fragment of each packet of a plan.
pub fn each_fragment(plan: &Plan<'_>, mtu: usize, mut put: impl FnMut(&[u8])) {
    let mut inner = vec![0; plan.full_len()];
    let mut out = vec![0; mtu];
    for index in 0..plan.count() {
        let length = plan.write(index, &mut inner);
        let Some(fragments) = Fragments::new(&inner[..length], mtu) else {
            continue;
        };
        for number in 0..fragments.count() {
            let length = fragments.write(number, &mut out);
            put(&out[..length]);
        }
    }
}

/// Counts what is told inward, so that a flood of large packets does not become a flood of errors.
#[derive(Default)]
pub struct Answers {
    since: u64,
    told: u32,
}

impl Answers {
    /// Tell the sender of a plan's packets, unless too many were told just now.
    pub fn tell(&mut self, device: Option<&Queue>, plan: &Plan<'_>, mtu: usize, now: u64) {
        if now.saturating_sub(self.since) >= ASK_NS {
            (self.since, self.told) = (now, 0);
        }
        let Some(device) = device.filter(|_| self.told < ANSWERS) else {
            return;
        };
        let mut first = vec![0; plan.len(0)];
        plan.write(0, &mut first);
        if let Some(answer) = icmp::too_big(&first, mtu) {
            self.told += 1;
            let header: [u8; VIRTIO_LEN] = VirtioHeader::default().encode();
            // A device that does not take it is down, so that nobody waits for the answer.
            let _ = device.write(&[IoSlice::new(&header), IoSlice::new(&answer)]);
        }
    }
}
