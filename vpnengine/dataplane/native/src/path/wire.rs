//! The sockets of both workers.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use crate::counters::{Drop, Drops};
use crate::udp::{Fragmenting, Outgoing, RecvBatch, SendBatch, SendReport, Socket};

/// Messages in one receive. Where the wire merges nothing each is one datagram, so that only their number saves calls.
const MESSAGES: usize = 64;
/// Any datagram, merged or not. The odd size lets slots, of which often only the beginning is used, share the cache: at
/// distances of 64 KB all of them would compete for the same few lines.
const SLOT: usize = 65_536 + 33 * 64;

/// Sends from the engine's sockets, one of each family, and from raw ones where ESP goes without UDP.
pub struct Sender {
    sockets: Vec<Socket>,
    batch: SendBatch,
}

impl Sender {
    pub fn new(udp: Vec<OwnedFd>, raw: Vec<OwnedFd>) -> std::io::Result<Self> {
        let sockets = udp.into_iter().chain(raw).map(Socket::share);
        Ok(Self {
            sockets: sockets.collect::<std::io::Result<_>>()?,
            batch: SendBatch::default(),
        })
    }

    /// Send all of it; to port 0 without UDP. What cannot be sent is counted.
    pub fn send(&mut self, items: &[Outgoing<'_>], drops: &Drops) {
        let class = |item: &Outgoing<'_>| (item.remote.is_ipv6(), item.remote.port() == 0);
        for some in items.chunk_by(|one, next| class(one) == class(next)) {
            let (v6, raw) = class(&some[0]);
            self.send_from(v6, raw, some, drops);
        }
    }

    fn send_from(&mut self, v6: bool, raw: bool, items: &[Outgoing<'_>], drops: &Drops) {
        let found = self
            .sockets
            .iter()
            .find(|socket| socket.is_v6() == v6 && socket.is_raw() == raw);
        let Some(socket) = found else {
            let count: usize = items
                .iter()
                .map(|item| item.data.len().div_ceil(item.segment.max(1)))
                .sum();
            return drops.add(Drop::NoSocket, count as u64);
        };
        let mut report = SendReport::default();
        self.batch.send(socket, items, &mut report);
        // The engine sends from the same sockets.
        let _ = socket.set_fragmenting(Fragmenting::Learnt);
        for (reason, count) in [
            (Drop::SendBufferFull, report.no_buffer),
            (Drop::TooBig, report.too_big),
            (Drop::SendRefused, report.refused),
        ] {
            if count > 0 {
                drops.add(reason, count);
            }
        }
    }
}

/// Receives from one socket.
pub struct Receiver {
    pub socket: Socket,
    pub batch: RecvBatch,
    pub port: u16,
}

impl Receiver {
    pub fn udp(fd: OwnedFd) -> std::io::Result<Self> {
        let socket = Socket::share(fd)?;
        let port = socket.local()?.port();
        Ok(Self::new(socket, port, RecvBatch::new(MESSAGES, SLOT)))
    }

    /// A raw socket for ESP.
    pub fn raw(fd: OwnedFd) -> std::io::Result<Self> {
        Ok(Self::new(
            Socket::share(fd)?,
            0,
            RecvBatch::new(MESSAGES, SLOT),
        ))
    }

    fn new(socket: Socket, port: u16, batch: RecvBatch) -> Self {
        Self {
            socket,
            batch,
            port,
        }
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_fd().as_raw_fd()
    }

    /// Fetch what has come; the number of messages.
    pub fn receive(&mut self) -> std::io::Result<usize> {
        self.batch.receive(&self.socket)
    }
}
