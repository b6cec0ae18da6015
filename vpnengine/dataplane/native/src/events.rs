//! What workers tell the engine: a bounded queue without locks, and a descriptor that becomes readable.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crossbeam_queue::ArrayQueue;

/// How many events may wait for the engine; a thousand datagrams of IKE at most among them.
const CAPACITY: usize = 4096;

/// One upcall of `vpnengine.dataplane.base.Upcalls`.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Ike {
        datagram: Vec<u8>,
        local: SocketAddr,
        remote: SocketAddr,
    },
    Acquire {
        policy: u64,
    },
    SoftExpired {
        spi_in: u32,
    },
    HardExpired {
        spi_in: u32,
    },
    Moved {
        spi_in: u32,
        remote: SocketAddr,
    },
    /// A worker has panicked and goes on; the text says where.
    Failed {
        worker: &'static str,
        text: String,
    },
}

/// From the workers to the engine's event loop.
pub struct Events {
    queue: ArrayQueue<Event>,
    bell: Bell,
}

impl Events {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            queue: ArrayQueue::new(CAPACITY),
            bell: Bell::new()?,
        })
    }

    /// False if the queue is full and the event is lost.
    #[must_use]
    pub fn push(&self, event: Event) -> bool {
        let kept = self.queue.push(event).is_ok();
        self.bell.ring();
        kept
    }

    pub fn fd(&self) -> RawFd {
        self.bell.fd()
    }

    /// Everything that waits, oldest first; at most what fits the queue once, so that it ends.
    pub fn take(&self) -> Vec<Event> {
        self.bell.quiet();
        std::iter::from_fn(|| self.queue.pop())
            .take(CAPACITY)
            .collect()
    }
}

/// An eventfd: wakes whoever polls it.
pub struct Bell(File);

impl Bell {
    pub fn new() -> std::io::Result<Self> {
        // SAFETY: no memory is involved.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self(File::from(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    pub fn ring(&self) {
        // Full means that it has rung long since.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    pub fn quiet(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
