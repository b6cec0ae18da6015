//! Many datagrams with one system call.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::MAX_MESSAGES;
use super::address::{self, NAME_LEN, Name};
use super::control::{CONTROL_LEN, Control, Received};
use super::socket::{Socket, is_late};

/// Late errors that one call passes over; the error queue holds them all.
const LATE: usize = 8;

/// One datagram, or the ESP packet of a raw socket.
#[derive(Debug)]
pub struct Datagram<'b> {
    /// The payload; the memory may be written to.
    pub data: &'b mut [u8],
    /// Who sent it; port 0 on a raw socket.
    pub remote: SocketAddr,
    /// The address it was sent to.
    pub local: IpAddr,
    /// Type of service or traffic class of the outer header: DSCP and ECN.
    pub tos: u8,
}

/// Memory for up to [`MAX_MESSAGES`] messages, made once.
pub struct RecvBatch {
    memory: Box<[u8]>,
    slot: usize,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    filled: Vec<Filled>,
    truncated: u64,
}

#[derive(Clone, Copy)]
struct Filled {
    length: usize,
    skip: usize,
    segment: usize,
    remote: SocketAddr,
    local: IpAddr,
    tos: u8,
}

impl RecvBatch {
    /// Room for `messages` (at most [`MAX_MESSAGES`]) of `slot` octets; with GRO a message has up to 65,535.
    pub fn new(messages: usize, slot: usize) -> Self {
        let messages = messages.clamp(1, MAX_MESSAGES);
        Self {
            memory: vec![0; messages * slot.max(1)].into_boxed_slice(),
            slot: slot.max(1),
            names: vec![Name::default(); messages].into_boxed_slice(),
            controls: vec![Control::default(); messages].into_boxed_slice(),
            filled: Vec::with_capacity(messages),
            truncated: 0,
        }
    }

    /// Messages that did not fit into their slot, since the beginning; they are dropped.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }

    /// Receive what is there, without waiting, in place of what the batch held; the number of messages.
    ///
    /// Errors: `WouldBlock` if there is nothing; what the system says otherwise.
    pub fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        self.filled.clear();
        let mut late = 0;
        loop {
            match self.receive_once(socket) {
                Err(error)
                    if late < LATE
                        && (is_late(&error) || error.kind() == io::ErrorKind::Interrupted) =>
                {
                    late += 1
                }
                other => return other,
            }
        }
    }

    fn receive_once(&mut self, socket: &Socket) -> io::Result<usize> {
        let count = self.names.len();
        let mut parts = [const {
            libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            }
        }; MAX_MESSAGES];
        // SAFETY: all zeros is a valid `mmsghdr`: null pointers with lengths of zero.
        let mut messages: [libc::mmsghdr; MAX_MESSAGES] = unsafe { std::mem::zeroed() };
        let slots = self
            .memory
            .chunks_exact_mut(self.slot)
            .zip(self.names.iter_mut())
            .zip(self.controls.iter_mut());
        for (((slot, name), control), (part, message)) in
            slots.zip(parts.iter_mut().zip(messages.iter_mut()))
        {
            part.iov_base = slot.as_mut_ptr().cast();
            part.iov_len = slot.len();
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = name.0.as_mut_ptr().cast();
            message.msg_hdr.msg_namelen = NAME_LEN as libc::socklen_t;
            message.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = CONTROL_LEN as _;
        }
        // SAFETY: each of the `count` messages points to a slot, name and control of its own, with their true lengths;
        // all of them are borrowed by this function, which does not touch them until the call is over.
        let received = unsafe {
            libc::recvmmsg(
                socket.raw_fd(),
                messages.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            return Err(io::Error::last_os_error());
        }
        for (index, message) in messages.iter().enumerate().take(received as usize) {
            let filled = self.describe(index, message, socket);
            self.filled.push(filled);
        }
        Ok(received as usize)
    }

    fn describe(&mut self, index: usize, message: &libc::mmsghdr, socket: &Socket) -> Filled {
        let header = &message.msg_hdr;
        let control =
            Received::parse(&self.controls[index].0[..header.msg_controllen.min(CONTROL_LEN)]);
        let unspecified = address::unspecified(socket.is_v6());
        let remote = self.names[index]
            .get()
            .unwrap_or_else(|| SocketAddr::new(unspecified, 0));
        let mut filled = Filled {
            length: (message.msg_len as usize).min(self.slot),
            skip: 0,
            segment: control.segment,
            remote,
            local: control.local.unwrap_or(unspecified),
            tos: control.tos,
        };
        if header.msg_flags & libc::MSG_TRUNC != 0 {
            self.truncated += 1;
            filled.length = 0;
        }
        if socket.is_raw() {
            filled.remote.set_port(0);
            let data = &self.memory[index * self.slot..][..filled.length];
            if !socket.is_v6() {
                // IPv4 raw sockets hand over the IP header too (raw(7)).
                filled.skip = data
                    .first()
                    .map_or(0, |first| usize::from(first & 15) * 4)
                    .min(filled.length);
            }
        }
        filled
    }

    /// Every datagram of the last [`RecvBatch::receive`], in the order of arrival.
    pub fn datagrams(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        let slots = self.memory.chunks_exact_mut(self.slot).zip(&self.filled);
        slots.flat_map(|(slot, filled)| {
            let data = &mut slot[filled.skip..filled.length];
            let size = if filled.segment == 0 {
                data.len().max(1)
            } else {
                filled.segment
            };
            let (remote, local, tos) = (filled.remote, filled.local, filled.tos);
            data.chunks_mut(size).map(move |data| Datagram {
                data,
                remote,
                local,
                tos,
            })
        })
    }
}
