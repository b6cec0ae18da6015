//! What the path says about packets that were sent: the socket's error queue (`ip(7)`, IP_RECVERR).

use std::io;
use std::net::SocketAddr;

use super::address::{self, NAME_LEN, Name};
use super::control::{CONTROL_LEN, Control, messages};
use super::socket::Socket;

/// `struct sock_extended_err`, linux/errqueue.h.
const EXTENDED_LEN: usize = 16;
const ORIGIN_LOCAL: u8 = 1;

/// One ICMP message, or refusal by this host, about a packet to `remote`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathError {
    /// Where the packet was to go.
    pub remote: SocketAddr,
    /// What happened to it.
    pub kind: PathErrorKind,
    /// Who said so; None if it was this host.
    pub by: Option<SocketAddr>,
}

/// What an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathErrorKind {
    /// The IP packet may have at most `mtu` octets.
    TooBig {
        /// Octets of the whole outer packet.
        mtu: u32,
    },
    /// Nobody listens there: port or protocol unreachable.
    Refused,
    /// Any other error number (`errno(3)`).
    Other(i32),
}

impl Socket {
    /// Take every error that waits, without waiting for more; their number.
    ///
    /// Errors: what the system says.
    pub fn errors(&self, mut take: impl FnMut(PathError)) -> io::Result<usize> {
        let mut count = 0;
        loop {
            match self.error() {
                Ok(Some(error)) => take(error),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                Err(error) => return Err(error),
            }
            count += 1;
        }
    }

    fn error(&self) -> io::Result<Option<PathError>> {
        let (mut name, mut control) = (Name::default(), Control::default());
        // SAFETY: all zeros is a valid `msghdr`: null pointers with lengths of zero.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_name = name.0.as_mut_ptr().cast();
        message.msg_namelen = NAME_LEN as libc::socklen_t;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_LEN as _;
        // SAFETY: name and control have the lengths given and outlive the call; no payload is asked for.
        let result = unsafe {
            libc::recvmsg(
                self.raw_fd(),
                &mut message,
                libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        let length = (message.msg_controllen as usize).min(CONTROL_LEN);
        Ok(name
            .get()
            .and_then(|remote| parse(remote, &control.0[..length])))
    }
}

fn parse(remote: SocketAddr, control: &[u8]) -> Option<PathError> {
    let (_, _, content) = messages(control).find(|(level, kind, _)| {
        matches!(
            (*level, *kind),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        )
    })?;
    let extended = content.get(..EXTENDED_LEN)?;
    let number = |at: usize| {
        u32::from_ne_bytes([
            extended[at],
            extended[at + 1],
            extended[at + 2],
            extended[at + 3],
        ])
    };
    let kind = match number(0) as i32 {
        libc::EMSGSIZE => PathErrorKind::TooBig { mtu: number(8) },
        libc::ECONNREFUSED | libc::ENOPROTOOPT => PathErrorKind::Refused,
        other => PathErrorKind::Other(other),
    };
    let local = extended[4] == ORIGIN_LOCAL;
    let by = if local {
        None
    } else {
        address::get(&content[EXTENDED_LEN..])
    };
    Some(PathError { remote, kind, by })
}
