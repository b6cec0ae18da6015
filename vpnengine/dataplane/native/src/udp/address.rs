//! Socket addresses as the kernel lays them out (`struct sockaddr_in`, `struct sockaddr_in6`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for either family.
#[derive(Clone, Copy, Default)]
#[repr(C, align(8))]
pub struct Name(pub [u8; NAME_LEN]);

/// `sizeof(struct sockaddr_in6)` is 28.
pub const NAME_LEN: usize = 32;

impl Name {
    /// The address and the length that is in use.
    pub fn new(address: SocketAddr) -> (Self, libc::socklen_t) {
        let mut out = Self::default();
        out.0[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                out.0[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                out.0[4..8].copy_from_slice(&v4.ip().octets());
                (out, 16)
            }
            SocketAddr::V6(v6) => {
                out.0[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                out.0[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
                out.0[8..24].copy_from_slice(&v6.ip().octets());
                out.0[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                (out, 28)
            }
        }
    }

    /// None for another family.
    pub fn get(&self) -> Option<SocketAddr> {
        get(&self.0)
    }
}

/// The address at the start of `data`, None for another family or if it is too short.
pub fn get(data: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(data.get(2..4)?.try_into().ok()?);
    match i32::from(u16::from_ne_bytes([data[0], data[1]])) {
        libc::AF_INET => {
            let octets: [u8; 4] = data.get(4..8)?.try_into().ok()?;
            Some(SocketAddrV4::new(Ipv4Addr::from(octets), port).into())
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = data.get(8..24)?.try_into().ok()?;
            let scope = u32::from_ne_bytes(data.get(24..28)?.try_into().ok()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope).into())
        }
        _ => None,
    }
}

/// The address that no socket has.
pub fn unspecified(v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}
