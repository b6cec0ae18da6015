//! What the kernel knows of a path's MTU: the route's, or what routers have answered since (RFC 1191, RFC 8201).

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// Any port will do: nothing is sent.
const DISCARD: u16 = 9;

/// Asks with sockets of its own, which never send.
#[derive(Default)]
pub struct PathMtu {
    v4: Option<Socket>,
    v6: Option<Socket>,
}

impl PathMtu {
    /// `mark` chooses routes as that of the data path's sockets does. A family that this host lacks has no answers.
    pub fn new(mark: u32) -> Self {
        let open = |domain| {
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).ok()?;
            if mark != 0 {
                socket.set_mark(mark).ok()?;
            }
            Some(socket)
        };
        Self {
            v4: open(Domain::IPV4),
            v6: open(Domain::IPV6),
        }
    }

    /// Octets of the largest IP packet to `remote` that need not be fragmented, None if no route leads there.
    pub fn ask(&self, remote: SocketAddr) -> Option<usize> {
        let remote = SocketAddr::new(remote.ip(), DISCARD);
        let (socket, level, option) = match remote {
            SocketAddr::V4(_) => (self.v4.as_ref()?, libc::IPPROTO_IP, libc::IP_MTU),
            SocketAddr::V6(_) => (self.v6.as_ref()?, libc::IPPROTO_IPV6, libc::IPV6_MTU),
        };
        socket.connect(&remote.into()).ok()?;
        super::socket::option(socket, level, option).and_then(|mtu| usize::try_from(mtu).ok())
    }
}
