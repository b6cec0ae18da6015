//! From the device to the peers: read, look up, cut, seal, send.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::fit::{self, Answers, Fit};
use super::hold::Hold;
use super::poll::readable;
use super::shared::Shared;
use super::wire::Sender;
use crate::counters::{Drop, Refused};
use crate::esp::{Engine, NEXT_IPV4, NEXT_IPV6, SealJob};
use crate::flow::Flow;
use crate::fragments::Fragments;
use crate::inner;
use crate::offload::VirtioHeader;
use crate::offload::segment::Plan;
use crate::sa::{Sa, UNLIMITED, add};
use crate::table::{Policy, PolicyTable};
use crate::tun::{Queue, READ_SIZE};
use crate::udp::{Fragmenting, Outgoing, PathMtu};

/// Octets of sealed packets in one batch. A large read becomes 75 KB, three times that if its segments are tiny.
const ARENA: usize = 256 << 10;
/// A batch ends with this many packets: enough to fill the lanes, few enough to stay in the cache.
const PACKETS: usize = 128;
/// How long before the end of its sequence numbers an SA wants a successor, in packets.
const SOFT_MARGIN: u64 = 1 << 20;
const IDLE_MS: i32 = 1000;

/// Sealed packets that lie one behind the other, go to the same peer and are equally long, but the last may be shorter.
struct Run {
    sa: Arc<Sa>,
    start: usize,
    stride: usize,
    count: usize,
    /// Octets of the inner packets, all but the last and the last.
    full: usize,
    last: usize,
    first_sequence: u64,
    next_header: u8,
    /// Type of service and DF of the outer header.
    tos: u8,
    df: bool,
}

impl Run {
    fn inner_len(&self, index: usize) -> usize {
        if index + 1 == self.count {
            self.last
        } else {
            self.full
        }
    }
}

/// The outbound worker's own memory. It outlives a panic, so that nothing of it may be half done: see `reset`.
pub struct Outbound {
    shared: Arc<Shared>,
    sender: Sender,
    path: PathMtu,
    answers: Answers,
    engine: Engine,
    hold: Hold,
    fragments: Fragments,
    arena: Vec<u8>,
    used: usize,
    packets: usize,
    runs: Vec<Run>,
    /// When the batch at hand was begun: the clock is not read for each packet.
    now: u64,
}

impl Outbound {
    pub fn new(shared: Arc<Shared>, sender: Sender, path: PathMtu, engine: Engine) -> Self {
        Self {
            shared,
            sender,
            path,
            answers: Answers::default(),
            engine,
            hold: Hold::default(),
            fragments: Fragments::default(),
            arena: vec![0; ARENA],
            used: 0,
            packets: 0,
            runs: Vec::with_capacity(PACKETS),
            now: 0,
        }
    }

    /// Forget a batch that was interrupted. Its sequence numbers stay used.
    pub fn reset(&mut self) {
        self.runs.clear();
        (self.used, self.packets) = (0, 0);
    }

    /// Carry packets until the path is stopped.
    pub fn run(&mut self) {
        let mut buffer = vec![0; READ_SIZE];
        let shared = Arc::clone(&self.shared);
        while !shared.stopped() {
            shared.outbound_rounds.fetch_add(1, Ordering::Release);
            let device = shared.device.load_full();
            let fd = device
                .as_ref()
                .map_or(-1, |device| device.as_fd().as_raw_fd());
            let [bell, _] = readable([shared.outbound.fd(), fd], IDLE_MS);
            if bell {
                shared.outbound.quiet();
            }
            self.release();
            let gone = device.filter(|device| !self.drain(device, &mut buffer));
            if let Some(device) = gone {
                // It stays readable, so that reading on would be all that happens. The engine makes it anew.
                shared.device.compare_and_swap(&device, None);
                shared.device_gone.store(true, Ordering::Release);
            }
        }
    }

    /// Read until the device is empty; false if it is gone.
    fn drain(&mut self, device: &Queue, buffer: &mut [u8]) -> bool {
        loop {
            let policies = self.shared.policies.load_full();
            let outcome = self.fill(device, &policies, buffer);
            self.flush();
            match outcome {
                Ok(()) if self.shared.stopped() => return true,
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.shared.drops.refused(Refused::Device, &error, 1);
                    return false;
                }
            }
        }
    }

    /// One batch, as far as there is something to read.
    fn fill(
        &mut self,
        device: &Queue,
        policies: &PolicyTable,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        self.now = self.shared.clock.nanos();
        while self.packets < PACKETS && self.used + READ_SIZE + READ_SIZE / 4 < ARENA {
            let (header, packet) = device.read(buffer)?;
            self.take(policies, &header, packet);
        }
        Ok(())
    }

    fn take(&mut self, policies: &PolicyTable, header: &VirtioHeader, packet: &[u8]) {
        let clock = self.shared.clock;
        let complete = |flow: Flow| {
            if flow.protocol == 0 {
                return flow; // no policy looks at ports
            }
            self.fragments.complete(flow, packet, 0, || clock.nanos())
        };
        let flow = policies.flow(packet).map(complete);
        let Some(policy) = flow.and_then(|flow| policies.find(&flow)) else {
            return self.shared.drops.add(Drop::NoPolicy, 1);
        };
        let Ok(plan) = Plan::new(header, packet) else {
            return self.shared.drops.add(Drop::BadOffload, 1);
        };
        if let Some(sa) = policy.sending.load_full() {
            if !self.hold.is_empty() {
                self.release();
            }
            self.place(&sa, &plan);
        } else {
            self.wait(policy, &plan);
        }
    }

    fn wait(&mut self, policy: &Arc<Policy>, plan: &Plan<'_>) {
        for index in 0..plan.count() {
            let mut inner = vec![0; plan.len(index)];
            plan.write(index, &mut inner);
            self.hold.keep(&self.shared, policy, inner);
        }
    }

    /// Packets that waited go before those that came later.
    fn release(&mut self) {
        if self.hold.is_empty() {
            return;
        }
        self.now = self.shared.clock.nanos();
        let policies = self.shared.policies.load_full();
        self.hold.tidy(|number| policies.has(number));
        for (policy, packets) in self.hold.take_ready() {
            let Some(sa) = policy.sending.load_full() else {
                continue;
            };
            for packet in packets {
                if self.packets >= PACKETS || self.used + READ_SIZE + READ_SIZE / 4 >= ARENA {
                    self.flush();
                }
                if let Ok(plan) = Plan::new(&VirtioHeader::default(), &packet) {
                    self.place(&sa, &plan);
                }
            }
        }
        self.flush();
    }

    /// Place the inner packets if they fit the path; if not, what the peer's rules say.
    fn place(&mut self, sa: &Arc<Sa>, plan: &Plan<'_>) {
        let now = self.now;
        let mtu = fit::mtu(&self.path, sa, now);
        match fit::judge(sa, plan.packet(), plan.full_len(), mtu) {
            Fit::Send => self.put(sa, plan, mtu),
            Fit::Fragment => fit::each_fragment(plan, mtu, |fragment| {
                if let Ok(plan) = Plan::new(&VirtioHeader::default(), fragment) {
                    self.put(sa, &plan, mtu);
                }
            }),
            Fit::Tell => {
                self.shared.drops.add(Drop::TooBig, plan.count() as u64);
                let device = self.shared.device.load_full();
                self.answers.tell(device.as_deref(), plan, mtu, now);
            }
        }
    }

    /// Put the inner packets where they will be sealed, each with a sequence number of its own.
    fn put(&mut self, sa: &Arc<Sa>, plan: &Plan<'_>, mtu: usize) {
        let suite = sa.seal.suite();
        let Some(fits) = room(self.used, plan.count(), suite.sealed_len(plan.full_len())) else {
            // Segments of a few octets each, which no sender of TCP makes.
            return self.shared.drops.add(Drop::BadOffload, plan.count() as u64);
        };
        if !fits {
            self.flush();
        }
        let wanted = plan.count();
        let allowed = self.within_limits(sa, plan, wanted);
        let Some(first_sequence) = self.numbers(sa, allowed) else {
            return;
        };
        let count = allowed.min(
            usize::try_from(sa.last_sequence() - first_sequence)
                .unwrap_or(usize::MAX)
                .saturating_add(1),
        );
        let stride = suite.sealed_len(plan.full_len());
        for index in 0..count {
            let at = self.used + index * stride + suite.offset();
            let length = plan.write(index, &mut self.arena[at..]);
            if plan.count() == 1 {
                sa.rules.clamp(&mut self.arena[at..at + length], mtu);
            }
        }
        let (full, last) = (plan.full_len(), plan.len(count - 1));
        let next_header = if plan.packet()[0] >> 4 == 6 {
            NEXT_IPV6
        } else {
            NEXT_IPV4
        };
        #[cfg(test)]
        self.shared.panic_if_provoked(super::shared::OUTBOUND);
        self.append(Run {
            sa: Arc::clone(sa),
            start: self.used,
            stride,
            count,
            full,
            last,
            first_sequence,
            next_header,
            tos: inner::outer_tos(plan.packet(), sa.rules.copy_dscp),
            df: sa.rules.df.outer(plan.packet()),
        });
        self.used += (count - 1) * stride + suite.sealed_len(last);
        self.packets += count;
        self.count(sa, count, (count - 1) * full + last);
        if first_sequence + count as u64 > sa.last_sequence() - SOFT_MARGIN {
            self.shared.tell_soft(sa);
        }
    }

    /// How many of the packets the hard octet limit lets through; the others are counted as dropped.
    fn within_limits(&self, sa: &Sa, plan: &Plan<'_>, wanted: usize) -> usize {
        let hard = sa.limits.hard.load(Ordering::Relaxed);
        if hard == UNLIMITED {
            return wanted;
        }
        let mut sum = sa.count.bytes_out.load(Ordering::Relaxed);
        let mut allowed = 0;
        while allowed < wanted && sum + plan.len(allowed) as u64 <= hard {
            sum += plan.len(allowed) as u64;
            allowed += 1;
        }
        if allowed < wanted {
            self.shared
                .drops
                .add(Drop::OctetLimit, (wanted - allowed) as u64);
            self.shared.tell_hard(sa);
        }
        allowed
    }

    /// The first of so many sequence numbers; None if there is nothing to send, or none is left.
    fn numbers(&self, sa: &Sa, count: usize) -> Option<u64> {
        if count == 0 {
            return None;
        }
        let used = sa.sequence.load(Ordering::Relaxed);
        let left = sa.last_sequence() - used;
        if left < count as u64 {
            self.shared.drops.add(Drop::Exhausted, count as u64 - left);
            self.shared.tell_hard(sa);
        }
        if left == 0 {
            return None;
        }
        sa.sequence
            .store(used + left.min(count as u64), Ordering::Relaxed);
        Some(used + 1)
    }

    /// Lengthen the last run if the new one continues it: many small packets then leave as one.
    fn append(&mut self, run: Run) {
        if let Some(last) = self.runs.last_mut() {
            let continues = Arc::ptr_eq(&last.sa, &run.sa)
                && last.last == last.full
                && last.full == run.full
                && last.next_header == run.next_header
                && (last.tos, last.df) == (run.tos, run.df)
                && last.first_sequence + last.count as u64 == run.first_sequence;
            if continues {
                last.count += run.count;
                last.last = run.last;
                return;
            }
        }
        self.runs.push(run);
    }

    fn count(&self, sa: &Sa, packets: usize, octets: usize) {
        let sum = add(&sa.count.bytes_out, octets as u64);
        add(&sa.count.packets_out, packets as u64);
        sa.count.last_out.store(self.now, Ordering::Relaxed);
        if sum >= sa.limits.soft.load(Ordering::Relaxed) {
            self.shared.tell_soft(sa);
        }
    }

    /// Seal and send what has been placed.
    fn flush(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        seal(&mut self.engine, &self.runs, &mut self.arena[..self.used]);
        let mut outgoing: Vec<Outgoing<'_>> = Vec::with_capacity(self.runs.len());
        let mut begins = 0;
        for run in &self.runs {
            let length = (run.count - 1) * run.stride + run.sa.seal.suite().sealed_len(run.last);
            let ends = run.sa.ends.load();
            let item = Outgoing {
                data: &self.arena[run.start..run.start + length],
                segment: run.stride,
                remote: ends.remote,
                local: Some(ends.local),
                tos: run.tos,
                fragmenting: Some(if run.df {
                    Fragmenting::Learnt
                } else {
                    Fragmenting::Allowed
                }),
            };
            // Many SAs to one peer, a packet of each: they need not leave one by one. Runs lie one behind the other.
            match outgoing.last_mut() {
                Some(last) if last.continues_with(&item) => {
                    last.data = &self.arena[begins..run.start + length];
                }
                _ => {
                    begins = run.start;
                    outgoing.push(item);
                }
            }
        }
        self.sender.send(&outgoing, &self.shared.drops);
        self.reset();
    }
}

/// Whether so many sealed packets of this length fit behind what is used; None if they would not fit an empty batch.
fn room(used: usize, count: usize, sealed: usize) -> Option<bool> {
    let octets = count * sealed;
    (octets <= ARENA).then_some(used + octets <= ARENA)
}

fn seal(engine: &mut Engine, runs: &[Run], mut rest: &mut [u8]) {
    let mut jobs = Vec::with_capacity(PACKETS + PACKETS / 2);
    for run in runs {
        let suite = run.sa.seal.suite();
        for index in 0..run.count {
            let inner = run.inner_len(index);
            let (packet, behind) = rest.split_at_mut(suite.sealed_len(inner));
            rest = behind;
            let sequence = run.first_sequence + index as u64;
            jobs.push(SealJob::new(
                &run.sa.seal,
                packet,
                inner,
                sequence,
                run.next_header,
            ));
        }
    }
    engine.seal(&mut jobs);
    for job in &mut jobs {
        if job.sealed.is_none() {
            // Never on the wire in clear: an SPI that the receiver knows nothing of.
            job.packet.fill(0xFF);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_of_tiny_segments_is_refused_instead_of_leaving_the_batch() {
        assert_eq!(room(0, 47, 1500), Some(true));
        assert_eq!(room(ARENA - 1500, 2, 1500), Some(false));
        assert_eq!(room(0, 65_000, 90), None);
    }
}
