//! From the peers to the device: receive, look up, check, open, commit, merge, write.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustc_hash::FxHashMap;

use super::poll::readable;
use super::shared::Shared;
use super::wire::Receiver;
use crate::counters::{Drop, Refused};
use crate::esp::{Engine, OpenJob, Refusal, ReplayWindow};
use crate::events::Event;
use crate::fragments::Fragments;
use crate::inner;
use crate::offload::Coalescer;
use crate::sa::{Sa, add};
use crate::tun::Queue;
use crate::udp::Datagram;

const NON_ESP_MARKER: [u8; 4] = [0; 4];
const KEEPALIVE: &[u8] = b"\xff";
const IDLE_MS: i32 = 1000;
/// Datagrams that a receive brings usually.
const BATCH: usize = 128;
/// How often a worker returns to a socket before it looks at the other ones.
const ROUNDS: usize = 8;
/// A peer that has moved is told of at most so often, in nanoseconds, until the engine has followed it.
const MOVED_NS: u64 = 100_000_000;

/// One SA as the inbound worker knows it.
struct Known {
    serial: u64,
    window: ReplayWindow,
    moved_told: u64,
}

/// A packet that has passed the replay check.
struct Checked<'b> {
    data: &'b mut [u8],
    remote: SocketAddr,
    /// Which of the batch's SAs.
    sa: usize,
    sequence: u64,
    /// Type of service of the outer header.
    tos: u8,
}

/// The inbound worker's own memory: replay windows above all, which outlive a panic.
pub struct Inbound {
    shared: Arc<Shared>,
    receivers: Vec<Receiver>,
    engine: Engine,
    coalescer: Coalescer,
    merges_udp: bool,
    known: FxHashMap<u32, Known>,
    generation: u64,
    fragments: Fragments,
}

impl Inbound {
    pub fn new(shared: Arc<Shared>, receivers: Vec<Receiver>, engine: Engine) -> Self {
        Self {
            shared,
            receivers,
            engine,
            coalescer: Coalescer::new(false),
            merges_udp: false,
            known: FxHashMap::default(),
            generation: 0,
            fragments: Fragments::default(),
        }
    }

    /// Carry packets until the path is stopped.
    pub fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        while !shared.stopped() {
            shared.inbound_rounds.fetch_add(1, Ordering::Release);
            let mut fds = [-1; 9];
            fds[0] = shared.inbound.fd();
            for (fd, receiver) in fds[1..].iter_mut().zip(&self.receivers) {
                *fd = receiver.fd();
            }
            let ready = readable(fds, IDLE_MS);
            if ready[0] {
                shared.inbound.quiet();
            }
            for index in 0..self.receivers.len() {
                if ready[index + 1] {
                    self.drain(index);
                }
            }
            self.forget_removed();
        }
    }

    fn drain(&mut self, index: usize) {
        for _ in 0..ROUNDS {
            match self.receivers[index].receive() {
                Ok(0) => return,
                Ok(_) => self.carry(index),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // An ICMP error of an earlier datagram is reported here; it concerns nobody.
                Err(error) => return self.shared.drops.refused(Refused::Receive, &error, 1),
            }
        }
    }

    /// An SPI may be chosen again for a later SA, and what was removed should keep no keys.
    fn forget_removed(&mut self) {
        let generation = self.shared.sas.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.generation = generation;
            let sas = &self.shared.sas;
            self.known
                .retain(|spi, known| sas.get(*spi).is_some_and(|sa| sa.serial == known.serial));
        }
    }

    /// Merge what this device takes merged.
    fn suit(&mut self, device: Option<&Queue>) {
        let merges_udp = device.is_some_and(|device| device.offloads().uso);
        if merges_udp != self.merges_udp {
            self.merges_udp = merges_udp;
            self.coalescer = Coalescer::new(merges_udp);
        }
    }

    /// One batch from the sockets to the device.
    fn carry(&mut self, index: usize) {
        self.forget_removed();
        let device = self.shared.device.load_full();
        self.suit(device.as_deref());
        let Self {
            shared,
            receivers,
            known,
            engine,
            coalescer,
            fragments,
            ..
        } = self;
        let (mut checked, mut sas) = (Vec::with_capacity(BATCH), Vec::with_capacity(16));
        let receiver = &mut receivers[index];
        for datagram in receiver.batch.datagrams() {
            sort(
                shared,
                known,
                datagram,
                receiver.port,
                &mut checked,
                &mut sas,
            );
        }
        if checked.is_empty() {
            return;
        }
        let now = shared.clock.nanos();
        let ends: Vec<_> = checked
            .iter()
            .map(|one| (one.sa, one.sequence, one.remote, one.tos))
            .collect();
        let jobs = checked
            .into_iter()
            .map(|one| OpenJob::new(&sas[one.sa].open, one.data, one.sequence));
        let mut jobs: Vec<_> = jobs.collect();
        engine.open(&mut jobs);
        #[cfg(test)]
        shared.panic_if_provoked(super::shared::INBOUND);
        let mut burst = coalescer.burst();
        for (job, (sa, sequence, remote, tos)) in jobs.into_iter().zip(ends) {
            let (sa, packet, opened) = (&sas[sa], job.packet, job.opened);
            let inner = opened.and_then(|opened| opened.tunnel(packet));
            let authentic = inner
                .as_ref()
                .err()
                .is_none_or(|refusal| refusal.is_authentic());
            if authentic && !admit(shared, known, sa, sequence, remote, now) {
                continue;
            }
            match inner {
                Ok(inner) => {
                    let packet = &mut packet[inner.offset..inner.offset + inner.len];
                    if !inner::take_outer_tos(packet, tos) {
                        shared.drops.add(Drop::Congestion, 1);
                        continue;
                    }
                    sa.rules.clamp(packet, sa.mtu.inner.load(Ordering::Relaxed));
                    if deliver(shared, fragments, sa, packet) {
                        burst.push(packet);
                    }
                }
                Err(Refusal::Dummy) => {}
                Err(refusal) => refuse(shared, sa, refusal),
            }
        }
        burst.finish(|parts, count| {
            let written = match &device {
                Some(device) => device.write(parts),
                None => Err(std::io::Error::from_raw_os_error(libc::ENODEV)),
            };
            if let Err(error) = written {
                shared.drops.refused(Refused::Device, &error, count as u64);
            }
        });
    }
}

/// What is for the engine goes up, what passes the replay check is noted.
fn sort<'b>(
    shared: &Shared,
    known: &mut FxHashMap<u32, Known>,
    datagram: Datagram<'b>,
    port: u16,
    checked: &mut Vec<Checked<'b>>,
    sas: &mut Vec<Arc<Sa>>,
) {
    let Datagram {
        data,
        remote,
        local,
        tos,
    } = datagram;
    let udp = port != 0;
    if udp && data == KEEPALIVE {
        return shared.drops.add(Drop::Keepalive, 1);
    }
    if udp && data.starts_with(&NON_ESP_MARKER) {
        let (datagram, local) = (data[4..].to_vec(), SocketAddr::new(local, port));
        return shared.tell(Event::Ike {
            datagram,
            local,
            remote,
        });
    }
    if data.len() < 8 {
        return shared.drops.add(Drop::TooShort, 1);
    }
    let word = |at: usize| u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
    let (spi, low) = (word(0), word(4));
    if sas.last().is_none_or(|sa| sa.spi_in != spi) {
        let Some(sa) = shared.sas.get(spi) else {
            return shared.drops.add(Drop::UnknownSpi, 1);
        };
        // What comes in raw and in UDP may differ in nothing but this.
        if sa.ends.load().udp == (port == 0) {
            return shared.drops.add(Drop::OtherEncapsulation, 1);
        }
        sas.push(sa);
    }
    let sa = &sas[sas.len() - 1];
    match window(known, sa).window.check(low) {
        Some(sequence) => checked.push(Checked {
            data,
            remote,
            sa: sas.len() - 1,
            sequence,
            tos,
        }),
        None => replayed(shared, sa),
    }
}

/// The replay window of an SA, a new one with its first packet.
fn window<'k>(known: &'k mut FxHashMap<u32, Known>, sa: &Sa) -> &'k mut Known {
    let fresh = || Known {
        serial: sa.serial,
        window: ReplayWindow::new(sa.replay_window, sa.open.suite().esn()),
        moved_told: 0,
    };
    let entry = known.entry(sa.spi_in).or_insert_with(fresh);
    if entry.serial != sa.serial {
        *entry = fresh();
    }
    entry
}

/// An authentic packet: its number is seen now. False if another copy was quicker.
fn admit(
    shared: &Shared,
    known: &mut FxHashMap<u32, Known>,
    sa: &Sa,
    sequence: u64,
    remote: SocketAddr,
    now: u64,
) -> bool {
    let known = window(known, sa);
    let newest = known.window.top();
    if !known.window.commit(sequence) {
        replayed(shared, sa);
        return false;
    }
    sa.count.last_in.store(now, Ordering::Relaxed);
    // A packet that was overtaken tells of a path that is perhaps no more.
    let overtaken = known.window.top() == newest;
    let ends = sa.ends.load();
    let moved = ends.remote != remote && ends.udp;
    if moved && !overtaken && (known.moved_told == 0 || now - known.moved_told > MOVED_NS) {
        known.moved_told = now;
        shared.tell(Event::Moved {
            spi_in: sa.spi_in,
            remote,
        });
    }
    true
}

/// True if the inner packet may go to the device.
fn deliver(shared: &Shared, fragments: &mut Fragments, sa: &Sa, packet: &[u8]) -> bool {
    if !sa.admits(packet, fragments, &shared.clock) {
        shared.drops.add(Drop::Selector, 1);
        add(&sa.count.failed, 1);
        return false;
    }
    let sum = add(&sa.count.bytes_in, packet.len() as u64);
    add(&sa.count.packets_in, 1);
    if sum > sa.limits.hard.load(Ordering::Relaxed) {
        shared.drops.add(Drop::OctetLimit, 1);
        shared.tell_hard(sa);
        return false;
    }
    if sum >= sa.limits.soft.load(Ordering::Relaxed) {
        shared.tell_soft(sa);
    }
    true
}

fn replayed(shared: &Shared, sa: &Sa) {
    shared.drops.add(Drop::Replayed, 1);
    add(&sa.count.replayed, 1);
}

fn refuse(shared: &Shared, sa: &Sa, refusal: Refusal) {
    let reason = match refusal {
        Refusal::TooShort => Drop::TooShort,
        Refusal::NotAuthentic => Drop::NotAuthentic,
        Refusal::BadPadding => Drop::BadPadding,
        Refusal::CutShort => Drop::CutShort,
        Refusal::NotTunnel | Refusal::Dummy => Drop::NotTunnelMode,
    };
    shared.drops.add(reason, 1);
    add(&sa.count.failed, 1);
}
