//! One installed pair of SAs: keys, limits and counters, shared between the workers and the engine.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::esp::{OpenKey, SealKey};
use crate::flow::{Selector, packet_ends, packet_flow};
use crate::fragments::Fragments;
use crate::inner::Rules;
use crate::inner::mtu::{Outer, inner_mtu};

/// No octet limit.
pub const UNLIMITED: u64 = u64::MAX;

/// The outer ends of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub local: IpAddr,
    /// The port is 0 for ESP without UDP.
    pub remote: SocketAddr,
    pub udp: bool,
}

/// Both directions of a tunnel. Each counter has one writer; everyone may read.
pub struct Sa {
    /// Unlike the SPI never used twice.
    pub serial: u64,
    pub spi_in: u32,
    pub spi_out: u32,
    pub seal: SealKey,
    pub open: OpenKey,
    pub replay_window: u32,
    /// The last sequence number used.
    pub sequence: AtomicU64,
    pub ends: ArcSwap<Ends>,
    /// What may come out of the tunnel.
    pub admits: ArcSwap<Vec<Selector>>,
    pub limits: Limits,
    pub rules: Rules,
    pub mtu: Mtu,
    pub count: Counters,
    pub soft_told: AtomicBool,
    pub hard_told: AtomicBool,
}

/// The largest inner packet that fits the path, and when it was found out.
pub struct Mtu {
    pub inner: AtomicUsize,
    /// Nanoseconds of the clock, 0 for never.
    pub asked: AtomicU64,
}

/// In octets of inner packets, for each direction.
pub struct Limits {
    pub soft: AtomicU64,
    pub hard: AtomicU64,
}

/// As `vpnengine.dataplane.base.SaCounters`; times are nanoseconds of the clock, 0 for never.
#[derive(Default)]
pub struct Counters {
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    pub packets_in: AtomicU64,
    pub packets_out: AtomicU64,
    pub replayed: AtomicU64,
    pub failed: AtomicU64,
    pub last_in: AtomicU64,
    pub last_out: AtomicU64,
}

/// Adds where only one thread writes: cheaper than an addition that all cores have to agree on.
pub fn add(counter: &AtomicU64, count: u64) -> u64 {
    let sum = counter.load(Ordering::Relaxed) + count;
    counter.store(sum, Ordering::Relaxed);
    sum
}

impl Sa {
    /// True if one of the selectors covers an inner packet.
    pub fn admits(&self, packet: &[u8], fragments: &mut Fragments, clock: &Clock) -> bool {
        let admits = self.admits.load();
        let with_protocol = admits.iter().any(|selector| selector.protocol != 0);
        let flow = if with_protocol {
            let complete = |flow| fragments.complete(flow, packet, self.spi_in, || clock.nanos());
            packet_flow(packet).map(complete)
        } else {
            packet_ends(packet)
        };
        flow.is_some_and(|flow| admits.iter().any(|one| one.allows_inbound(&flow)))
    }

    /// The largest inner packet whose ESP packet has at most `path` octets; never less than IPv4 needs.
    pub fn inner_mtu(&self, path: usize) -> usize {
        let ends = self.ends.load();
        let outer = Outer {
            v6: ends.remote.is_ipv6(),
            udp: ends.udp,
        };
        inner_mtu(path, outer, self.seal.suite()).max(crate::inner::IPV4_MIN_MTU)
    }

    /// The last sequence number there is (RFC 4303 section 3.3.3).
    pub fn last_sequence(&self) -> u64 {
        if self.seal.suite().esn() {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        }
    }

    /// True the first time.
    pub fn tell_soft(&self) -> bool {
        !self.soft_told.swap(true, Ordering::Relaxed)
    }

    /// Likewise.
    pub fn tell_hard(&self) -> bool {
        !self.hard_told.swap(true, Ordering::Relaxed)
    }
}

/// The engine's monotonic clock: read once at the start, then carried on.
#[derive(Clone, Copy)]
pub struct Clock {
    began: Instant,
    base: f64,
}

impl Clock {
    /// `now` is the engine's time in seconds.
    pub fn new(now: f64) -> Self {
        Self {
            began: Instant::now(),
            base: now,
        }
    }

    /// Nanoseconds since the start, never 0.
    pub fn nanos(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    /// The engine's time of a count of nanoseconds; None for 0.
    pub fn seconds(&self, nanos: u64) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)]
        (nanos != 0).then(|| self.base + nanos as f64 / 1e9)
    }
}
