//! Many datagrams with one system call, to one or to many destinations.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::address::Name;
use super::choice::{Choice, thread_nanos};
use super::control::{Control, Writer};
use super::socket::{Fragmenting, Socket, is_late};
use super::{MAX_MESSAGES, MAX_PAYLOAD, MAX_SEGMENTS};

/// Milliseconds to wait for room in the send buffer before a datagram counts as lost.
const PATIENCE: libc::c_int = 50;

/// Datagrams for one destination that lie one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'d> {
    /// One datagram, or several of `segment` octets each, of which the last may be shorter.
    pub data: &'d [u8],
    /// 0: `data` is one datagram.
    pub segment: usize,
    /// Where to.
    pub remote: SocketAddr,
    /// The source address; None leaves it to the routing table.
    pub local: Option<IpAddr>,
    /// Type of service or traffic class of the outer header: DSCP and ECN.
    pub tos: u8,
    /// The rule for DF to set on the socket before; None leaves it as it is.
    pub fragmenting: Option<Fragmenting>,
}

impl Outgoing<'_> {
    /// How many datagrams it is.
    pub fn count(&self) -> usize {
        match self.segment {
            0 => 1,
            segment => self.data.len().div_ceil(segment).max(1),
        }
    }

    /// Whether the datagrams of `next`, which lie right behind, may go with these: to the same end, under the same
    /// rules, all of the same length but the last.
    pub fn continues_with(&self, next: &Self) -> bool {
        let alike = self.remote == next.remote
            && self.local == next.local
            && self.tos == next.tos
            && self.fragmenting == next.fragmenting;
        let full = self.segment > 0 && self.data.len() % self.segment == 0;
        let single = next.segment == 0 || next.data.len() <= next.segment;
        alike && full && (next.segment == self.segment || single && next.data.len() <= self.segment)
    }
}

/// What became of the datagrams; all numbers are of datagrams, and only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendReport {
    /// The system took them.
    pub sent: u64,
    /// Octets of payload that it took.
    pub octets: u64,
    /// System calls.
    pub calls: u64,
    /// No room in the buffers of the socket or the device (ENOBUFS, EAGAIN).
    pub no_buffer: u64,
    /// Larger than the path's MTU while fragmenting is forbidden (EMSGSIZE); the error queue names the MTU.
    pub too_big: u64,
    /// No route, no such source address, forbidden by a packet filter, and so on.
    pub refused: u64,
}

impl SendReport {
    fn fail(&mut self, error: &io::Error, datagrams: u64) {
        match error.raw_os_error() {
            Some(libc::ENOBUFS | libc::EAGAIN | libc::ENOMEM) => self.no_buffer += datagrams,
            Some(libc::EMSGSIZE) => self.too_big += datagrams,
            _ => self.refused += datagrams,
        }
    }
}

/// One message: a part of one item.
#[derive(Clone, Copy)]
struct Piece {
    item: usize,
    from: usize,
    to: usize,
    segments: usize,
}

/// Sends lists of [`Outgoing`]; the memory is made once.
#[derive(Default)]
pub struct SendBatch {
    pieces: Vec<Piece>,
    names: Vec<(Name, libc::socklen_t)>,
    controls: Vec<Control>,
    /// Of IPv4 and IPv6, whose sockets send by different devices perhaps.
    choices: [Choice; 2],
}

impl SendBatch {
    /// Send everything in the order given; what the system refuses is counted and not tried again.
    pub fn send(&mut self, socket: &Socket, items: &[Outgoing<'_>], report: &mut SendReport) {
        for some in items.chunk_by(|one, next| one.fragmenting == next.fragmenting) {
            if let Some(rule) = some[0].fragmenting {
                // Without it packets go out under the rule before, which is better than not at all.
                let _ = socket.set_fragmenting(rule);
            }
            self.send_alike(socket, some, report);
        }
    }

    fn send_alike(&mut self, socket: &Socket, items: &[Outgoing<'_>], report: &mut SendReport) {
        if !socket.gso() {
            return self.send_by(socket, items, report, false);
        }
        let family = usize::from(socket.is_v6());
        let datagrams = items.iter().filter(|item| item.count() > 1);
        let datagrams = datagrams.map(|item| item.count() as u64).sum();
        let (offload, wanted) = self.choices[family].next(datagrams);
        let before = if wanted { thread_nanos() } else { 0 };
        self.send_by(socket, items, report, offload);
        if wanted {
            self.choices[family].learn(offload, thread_nanos() - before, datagrams);
        }
    }

    /// Whether datagrams of a family leave by segment offload at present, where the kernel has it.
    pub fn offloads(&self, v6: bool) -> bool {
        self.choices[usize::from(v6)].offload()
    }

    fn send_by(
        &mut self,
        socket: &Socket,
        items: &[Outgoing<'_>],
        report: &mut SendReport,
        offload: bool,
    ) {
        self.pieces.clear();
        for (index, item) in items.iter().enumerate() {
            cut(&mut self.pieces, index, item, 0..item.data.len(), offload);
        }
        let mut done = 0;
        let mut again = false;
        while done < self.pieces.len() {
            let last = (done + MAX_MESSAGES).min(self.pieces.len());
            report.calls += 1;
            match self.call(socket, items, done, last) {
                Ok(count) => {
                    for piece in &self.pieces[done..done + count] {
                        report.sent += piece.segments as u64;
                        report.octets += (piece.to - piece.from) as u64;
                    }
                    done += count;
                    again = false;
                }
                Err(error) => {
                    // The first answer may be about an earlier packet; the second is about this one.
                    let retry = !again && self.worth_another_try(socket, &error, done);
                    again = retry;
                    if retry || self.split(socket, items, &error, done) {
                        continue;
                    }
                    report.fail(&error, self.pieces[done].segments as u64);
                    done += 1;
                }
            }
        }
    }

    fn worth_another_try(&self, socket: &Socket, error: &io::Error, at: usize) -> bool {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => socket.wait_writable(PATIENCE),
            Some(libc::EINTR) => true,
            _ => is_late(error) && self.pieces[at].segments == 1,
        }
    }

    /// After a refusal that segment offload may have caused, put single datagrams in place of message `at`. A device
    /// that cannot do the checksums answers EIO to all of them, so that is the end of it for this socket.
    fn split(
        &mut self,
        socket: &Socket,
        items: &[Outgoing<'_>],
        error: &io::Error,
        at: usize,
    ) -> bool {
        let piece = self.pieces[at];
        if piece.segments == 1
            || !matches!(
                error.raw_os_error(),
                Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE)
            )
        {
            return false;
        }
        if error.raw_os_error() == Some(libc::EIO) {
            socket.set_gso(false);
        }
        let mut singles = Vec::with_capacity(piece.segments);
        cut(
            &mut singles,
            piece.item,
            &items[piece.item],
            piece.from..piece.to,
            false,
        );
        self.pieces.splice(at..=at, singles);
        true
    }

    /// Hand over the messages `first..last`; the number that the system took.
    fn call(
        &mut self,
        socket: &Socket,
        items: &[Outgoing<'_>],
        first: usize,
        last: usize,
    ) -> io::Result<usize> {
        self.names.resize(MAX_MESSAGES, Default::default());
        self.controls.resize(MAX_MESSAGES, Control::default());
        let mut parts = [const {
            libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            }
        }; MAX_MESSAGES];
        // SAFETY: all zeros is a valid `mmsghdr`: null pointers with lengths of zero.
        let mut messages: [libc::mmsghdr; MAX_MESSAGES] = unsafe { std::mem::zeroed() };
        let rooms = self
            .names
            .iter_mut()
            .zip(self.controls.iter_mut())
            .zip(parts.iter_mut().zip(messages.iter_mut()));
        for (piece, ((name, control), (part, message))) in
            self.pieces[first..last].iter().zip(rooms)
        {
            let item = &items[piece.item];
            let data = &item.data[piece.from..piece.to];
            *name = Name::new(item.remote);
            let mut writer = Writer::new(control);
            if let Some(local) = item.local.filter(|local| !local.is_unspecified()) {
                writer.put_source(local);
            }
            // Zero too: the socket's own default may be another.
            writer.put_tos(socket.is_v6(), item.tos);
            if piece.segments > 1 {
                writer.put_segment(item.segment as u16);
            }
            let length = writer.len();
            // The kernel only reads what a message to be sent points to.
            part.iov_base = data.as_ptr().cast_mut().cast();
            part.iov_len = data.len();
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = name.0.0.as_mut_ptr().cast();
            message.msg_hdr.msg_namelen = name.1;
            message.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = length as _;
        }
        // SAFETY: each of the messages points to a part, name and control of its own, with their true lengths; all of
        // them, and the items' data, outlive the call, which only reads them.
        let sent = unsafe {
            libc::sendmmsg(
                socket.raw_fd(),
                messages.as_mut_ptr(),
                (last - first) as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(sent as usize)
    }
}

/// Cut a range of an item into messages.
fn cut(
    out: &mut Vec<Piece>,
    index: usize,
    item: &Outgoing<'_>,
    range: std::ops::Range<usize>,
    gso: bool,
) {
    let segment = if item.segment == 0 {
        item.data.len().max(1)
    } else {
        item.segment
    };
    let most = if gso {
        (MAX_PAYLOAD / segment).clamp(1, MAX_SEGMENTS)
    } else {
        1
    };
    let mut from = range.start;
    loop {
        let to = (from + most * segment).min(range.end);
        out.push(Piece {
            item: index,
            from,
            to,
            segments: (to - from).div_ceil(segment).max(1),
        });
        from = to;
        if from >= range.end {
            return;
        }
    }
}
