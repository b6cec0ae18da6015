//! One socket with the options that the data path needs.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use socket2::{Domain, Protocol, Type};

/// IP protocol number of ESP (RFC 4303).
pub const ESP: i32 = 50;

/// What happens to an outer packet that is larger than the path's MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragmenting {
    /// DF is set; routers answer with “fragmentation needed”, and larger ones are refused from then on.
    Forbidden,
    /// DF is clear: this host or a router fragments.
    Allowed,
    /// DF is set while the packet fits what is known of the path; this host fragments larger ones. The system's default.
    Learnt,
}

/// A UDP socket, or a raw socket for ESP, with packet info, type of service and the error queue switched on.
#[derive(Debug)]
pub struct Socket {
    inner: socket2::Socket,
    v6: bool,
    raw: bool,
    gso: AtomicBool,
    fragmenting: AtomicU8,
}

impl Socket {
    /// A UDP socket on `local`. `mark` (0: none) goes onto every packet; `shared`: several sockets have this port, and
    /// the kernel divides the flows among them.
    ///
    /// Errors: what the system says.
    pub fn udp(local: SocketAddr, mark: u32, shared: bool) -> io::Result<Self> {
        let inner =
            socket2::Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        if shared {
            inner.set_reuse_port(true)?;
        }
        Self::adopt(Self::bind(inner, local, mark)?)
    }

    /// A raw socket for ESP on `local`, an address or the unspecified one. Nobody reads its error queue, so that it has
    /// none: the kernel remembers what routers say about the path.
    ///
    /// Errors: what the system says; `PermissionDenied` without `CAP_NET_RAW`.
    pub fn raw_esp(local: IpAddr, mark: u32) -> io::Result<Self> {
        let local = SocketAddr::new(local, 0);
        let inner = socket2::Socket::new(
            Domain::for_address(local),
            Type::RAW,
            Some(Protocol::from(ESP)),
        )?;
        let inner = Self::bind(inner, local, mark)?;
        let socket = Self::share(inner)?;
        socket.set_fragmenting(Fragmenting::Learnt)?;
        Ok(socket)
    }

    fn bind(inner: socket2::Socket, local: SocketAddr, mark: u32) -> io::Result<OwnedFd> {
        // A raw IPv6 socket never takes IPv4, and refuses the option.
        if local.is_ipv6() && inner.r#type()? == Type::DGRAM {
            inner.set_only_v6(true)?;
        }
        if mark != 0 {
            inner.set_mark(mark)?;
        }
        inner.bind(&local.into())?;
        Ok(inner.into())
    }

    /// Take over a bound socket, for example one that the caller made, and set every option.
    ///
    /// Errors: `InvalidInput` if it is neither UDP nor raw, IPv4 nor IPv6; what the system says otherwise.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let socket = Self::take(fd)?;
        socket.set_options()?;
        Ok(socket)
    }

    /// Take over a bound socket that others send from too: neither its rule for DF nor its error queue is touched,
    /// which would change what they are told.
    ///
    /// Errors: as [`Socket::adopt`].
    pub fn share(fd: OwnedFd) -> io::Result<Self> {
        let socket = Self::take(fd)?;
        if socket.v6 {
            socket.set(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            socket.set(libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)?;
        } else {
            socket.set(libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
            socket.set(libc::IPPROTO_IP, libc::IP_RECVTOS, 1)?;
        }
        socket.set_offloads();
        Ok(socket)
    }

    fn take(fd: OwnedFd) -> io::Result<Self> {
        let inner = socket2::Socket::from(fd);
        let v6 = match inner.domain()? {
            Domain::IPV4 => false,
            Domain::IPV6 => true,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the socket is neither IPv4 nor IPv6",
                ));
            }
        };
        let raw = match inner.r#type()? {
            Type::DGRAM => false,
            Type::RAW => true,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the socket is neither UDP nor raw",
                ));
            }
        };
        inner.set_nonblocking(true)?;
        Ok(Self {
            inner,
            v6,
            raw,
            gso: AtomicBool::new(false),
            fragmenting: AtomicU8::new(u8::MAX),
        })
    }

    fn set_options(&self) -> io::Result<()> {
        if self.v6 {
            for option in [
                libc::IPV6_RECVPKTINFO,
                libc::IPV6_RECVTCLASS,
                libc::IPV6_RECVERR,
            ] {
                self.set(libc::IPPROTO_IPV6, option, 1)?;
            }
        } else {
            for option in [libc::IP_PKTINFO, libc::IP_RECVTOS, libc::IP_RECVERR] {
                self.set(libc::IPPROTO_IP, option, 1)?;
            }
        }
        self.set_fragmenting(Fragmenting::Forbidden)?;
        self.set_offloads();
        Ok(())
    }

    fn set_offloads(&self) {
        if !self.raw {
            // Size 0 changes nothing; a kernel that refuses it has no UDP GSO (before Linux 4.18).
            self.set_gso(self.set(libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok());
            // Before Linux 5.0 there is no UDP GRO; then datagrams come one by one.
            let _ = self.set_gro(true);
        }
    }

    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        let size = std::mem::size_of::<libc::c_int>() as libc::socklen_t;
        let pointer: *const libc::c_int = &value;
        // SAFETY: the pointer is to `size` octets that outlive the call.
        let result =
            unsafe { libc::setsockopt(self.raw_fd(), level, option, pointer.cast(), size) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Receive and send buffer in octets, past the system's limit where that is permitted.
    pub fn set_buffers(&self, octets: usize) {
        for (forced, plain) in [
            (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
            (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
        ] {
            let value = octets.try_into().unwrap_or(libc::c_int::MAX);
            // Smaller buffers only mean earlier losses, so a refusal is none of the caller's business.
            let _ = self
                .set(libc::SOL_SOCKET, forced, value)
                .or_else(|_| self.set(libc::SOL_SOCKET, plain, value));
        }
    }

    /// Whether outer packets may be fragmented. The option is the socket's: packets of peers with different rules are
    /// sent in turns. No system call if nothing changes.
    ///
    /// Errors: what the system says.
    pub fn set_fragmenting(&self, rule: Fragmenting) -> io::Result<()> {
        let value = match rule {
            Fragmenting::Forbidden => libc::IP_PMTUDISC_DO,
            Fragmenting::Allowed => libc::IP_PMTUDISC_DONT,
            Fragmenting::Learnt => libc::IP_PMTUDISC_WANT,
        };
        if self.fragmenting.swap(value as u8, Ordering::Relaxed) == value as u8 {
            return Ok(());
        }
        if self.v6 {
            self.set(libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, value)
        } else {
            self.set(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, value)
        }
    }

    /// Receive several datagrams of a flow as one message.
    ///
    /// Errors: what the system says.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        self.set(libc::SOL_UDP, libc::UDP_GRO, on.into())
    }

    /// Use UDP segment offload for sending, or do not.
    pub fn set_gso(&self, on: bool) {
        self.gso.store(on && !self.raw, Ordering::Relaxed);
    }

    /// True while UDP segment offload is in use; it ends when a device refuses it.
    pub fn gso(&self) -> bool {
        self.gso.load(Ordering::Relaxed)
    }

    /// IPv6.
    pub fn is_v6(&self) -> bool {
        self.v6
    }

    /// A raw socket: payloads are ESP packets without a UDP header, ports are 0.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// The address and port it is bound to.
    ///
    /// Errors: what the system says.
    pub fn local(&self) -> io::Result<SocketAddr> {
        let address = self.inner.local_addr()?.as_socket();
        address.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the socket has no IP address")
        })
    }

    pub(super) fn raw_fd(&self) -> libc::c_int {
        self.inner.as_raw_fd()
    }

    /// Wait until the socket takes more, at most `milliseconds`; false if it does not.
    pub(super) fn wait_writable(&self, milliseconds: libc::c_int) -> bool {
        let mut entry = libc::pollfd {
            fd: self.raw_fd(),
            events: libc::POLLOUT,
            revents: 0,
        };
        // SAFETY: one entry, which outlives the call.
        let ready = unsafe { libc::poll(&mut entry, 1, milliseconds) };
        ready > 0 && entry.revents & libc::POLLOUT != 0
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.inner.into()
    }
}

/// An option that is one number, None if the system does not say.
pub(super) fn option(
    socket: &socket2::Socket,
    level: libc::c_int,
    option: libc::c_int,
) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut size = std::mem::size_of::<libc::c_int>() as libc::socklen_t;
    let pointer: *mut libc::c_int = &mut value;
    // SAFETY: both pointers are to memory of the sizes given, which outlives the call.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, pointer.cast(), &mut size) };
    (result == 0).then_some(value)
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// True for errors that earlier packets caused (ICMP answers to them) and that say nothing of the present call.
pub(super) fn is_late(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EPROTO
                | libc::ENOPROTOOPT
        ) | Some(libc::EHOSTDOWN | libc::EMSGSIZE | libc::EACCES | libc::EOPNOTSUPP | libc::ENONET)
    )
}
