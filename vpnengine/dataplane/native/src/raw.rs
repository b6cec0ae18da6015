//! Sockets of IP protocol 50, for ESP without UDP (RFC 4303).
//!
//! They are read and written in the batches of [`crate::udp`]: payloads begin with the SPI, ports are 0. For IPv4 the
//! kernel hands over the IP header as well, which [`crate::udp::RecvBatch`] strips; fragments were put together before.
//! The kernel has no segment offload for them, so that many datagrams still go and come with one system call, but each
//! through the stack by itself. Every such socket receives all ESP packets of this host for its local address: a host
//! whose kernel has IPsec of its own takes those SPIs that it knows first.

use std::io;
use std::net::IpAddr;

use crate::udp::Socket;

/// A raw socket on `local`, an address or the unspecified one of its family; `mark` (0: none) goes onto every packet.
///
/// Errors: what the system says; `PermissionDenied` without `CAP_NET_RAW`.
pub fn open(local: IpAddr, mark: u32) -> io::Result<Socket> {
    Socket::raw_esp(local, mark)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::udp::{Outgoing, RecvBatch, SendBatch, SendReport};

    /// 40 packets from `from` to `to` of this host, with the addresses and the type of service as sent.
    fn passes(from: &str, to: &str) {
        let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let (sender, receiver) = (open(from, 0).unwrap(), open(to, 0).unwrap());
        receiver.set_buffers(4 << 20);
        assert!(sender.is_raw() && !sender.gso());
        let data: Vec<u8> = (0..40u8)
            .flat_map(|number| [0x7e, 0x57, 0x10, 0x10, 0, 0, 0, number, 1, 2, 3, 4])
            .collect();
        let item = Outgoing {
            data: &data,
            segment: 12,
            remote: SocketAddr::new(to, 0),
            local: Some(from),
            tos: 0xba,
            fragmenting: None,
        };
        let mut report = SendReport::default();
        SendBatch::default().send(&sender, &[item], &mut report);
        assert_eq!((report.sent, report.calls), (40, 1), "{report:?}");
        let mut batch = RecvBatch::new(16, 2048);
        let mut received = Vec::new();
        let end = Instant::now() + Duration::from_secs(5);
        while received.len() < data.len() && Instant::now() < end {
            if batch.receive(&receiver).is_err() {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            }
            for one in batch
                .datagrams()
                .filter(|one| one.data.starts_with(&data[..4]))
            {
                assert_eq!(
                    (one.remote, one.local, one.tos),
                    (SocketAddr::new(from, 0), to, 0xba)
                );
                received.extend_from_slice(one.data);
            }
        }
        assert!(
            received == data,
            "{} of {} octets",
            received.len(),
            data.len()
        );
    }

    #[test]
    fn packets_pass_over_ipv4() {
        passes("127.0.3.1", "127.0.3.2");
    }

    #[test]
    fn packets_pass_over_ipv6() {
        passes("::1", "::1");
    }
}
