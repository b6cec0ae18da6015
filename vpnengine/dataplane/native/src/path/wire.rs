//! The sockets of both workers.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use crate::counters::{Drop, Drops};
use crate::udp::{Outgoing, RecvBatch, SendBatch, SendReport, Socket};

/// Large messages in one receive; merged ones make a megabyte of 16.
const MESSAGES: usize = 16;
const SLOT: usize = 65_536;

/// Sends from the engine's sockets, one of each family.
pub struct Sender {
    sockets: Vec<Socket>,
    batch: SendBatch,
}

impl Sender {
    pub fn new(fds: Vec<OwnedFd>) -> std::io::Result<Self> {
        let sockets = fds
            .into_iter()
            .map(Socket::share)
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            sockets,
            batch: SendBatch::default(),
        })
    }

    /// Send all of it. What cannot be sent is counted.
    pub fn send(&mut self, items: &[Outgoing<'_>], drops: &Drops) {
        let v6 = items.first().is_some_and(|item| item.remote.is_ipv6());
        if items.iter().all(|item| item.remote.is_ipv6() == v6) {
            return self.send_family(v6, items, drops);
        }
        for v6 in [false, true] {
            let some: Vec<_> = items
                .iter()
                .filter(|item| item.remote.is_ipv6() == v6)
                .copied()
                .collect();
            self.send_family(v6, &some, drops);
        }
    }

    fn send_family(&mut self, v6: bool, items: &[Outgoing<'_>], drops: &Drops) {
        let Some(socket) = self.sockets.iter().find(|socket| socket.is_v6() == v6) else {
            let count: usize = items
                .iter()
                .map(|item| item.data.len().div_ceil(item.segment.max(1)))
                .sum();
            return drops.add(Drop::NoSocket, count as u64);
        };
        let mut report = SendReport::default();
        self.batch.send(socket, items, &mut report);
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
        Ok(Self {
            socket,
            batch: RecvBatch::new(MESSAGES, SLOT),
            port,
        })
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_fd().as_raw_fd()
    }

    /// Fetch what has come; the number of messages.
    pub fn receive(&mut self) -> std::io::Result<usize> {
        self.batch.receive(&self.socket)
    }
}
