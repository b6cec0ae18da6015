//! Drop reasons and their counts, readable while the workers go on.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! reasons {
    ($($variant:ident => $name:literal),* $(,)?) => {
        /// Why a packet was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Drop { $($variant),* }

        /// The names, as the Python reference has them.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

reasons! {
    NoPolicy => "no policy",
    NoSa => "no SA",
    QueueFull => "queue full",
    OctetLimit => "octet limit",
    NotIp => "not IP",
    Exhausted => "sequence numbers exhausted",
    NoSocket => "no socket",
    SendRefused => "send refused",
    SendBufferFull => "send buffer full",
    Keepalive => "keepalive",
    TooShort => "too short",
    UnknownSpi => "unknown SPI",
    Replayed => "replayed",
    NotAuthentic => "not authentic",
    BadPadding => "bad padding",
    NotTunnelMode => "not tunnel mode",
    CutShort => "inner packet cut short",
    Selector => "selector",
    BadOffload => "bad offload header",
    TooLong => "too long",
    TooBig => "too big for the path",
    Congestion => "congestion mark on a packet without ECN",
    OtherEncapsulation => "other encapsulation",
    IkeFlood => "IKE queue full",
    EventsFull => "event queue full",
}

const ERRNOS: usize = 136;

/// One count for each reason, and for each error that the system may give.
pub struct Drops {
    counts: Vec<AtomicU64>,
    receive: Vec<AtomicU64>,
    device: Vec<AtomicU64>,
}

/// Where the system refused something.
#[derive(Clone, Copy)]
pub enum Refused {
    Receive,
    Device,
}

impl Default for Drops {
    fn default() -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            counts: zeros(NAMES.len()),
            receive: zeros(ERRNOS),
            device: zeros(ERRNOS),
        }
    }
}

impl Drops {
    pub fn add(&self, reason: Drop, count: u64) {
        self.counts[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub fn refused(&self, place: Refused, error: &std::io::Error, count: u64) {
        let errno = error.raw_os_error().unwrap_or(0);
        let list = match place {
            Refused::Receive => &self.receive,
            Refused::Device => &self.device,
        };
        let at = usize::try_from(errno).unwrap_or(0).min(ERRNOS - 1);
        list[at].fetch_add(count, Ordering::Relaxed);
    }

    /// Every count that is not zero: (place or reason, errno or None, count).
    pub fn read(&self) -> Vec<(&'static str, Option<usize>, u64)> {
        let mut found = Vec::new();
        for (name, count) in NAMES.iter().zip(&self.counts) {
            found.push((*name, None, count.load(Ordering::Relaxed)));
        }
        for (name, list) in [("receive", &self.receive), ("TUN", &self.device)] {
            for (errno, count) in list.iter().enumerate() {
                found.push((name, Some(errno), count.load(Ordering::Relaxed)));
            }
        }
        found.retain(|row| row.2 != 0);
        found
    }
}
