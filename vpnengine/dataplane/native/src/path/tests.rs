//! Both workers between a socket pair in place of the device and sockets on loopback; the peer sends back what it gets.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::shared::{INBOUND, OUTBOUND};
use super::*;
use crate::esp::{OpenKey, SealKey, Suite};
use crate::events::Event;
use crate::flow::{Selector, Span};
use crate::inner::{Df, Mss, Rules};
use crate::offload::VIRTIO_LEN;
use crate::sa::{Counters, Ends, Limits, Mtu, Sa, UNLIMITED};
use crate::table::{Policy, PolicyTable};
use crate::tun::Queue;

const SPI: u32 = 0x1234;

struct Rig {
    shared: Arc<Shared>,
    workers: Workers,
    host: UnixDatagram,
    peer: UdpSocket,
    ours: SocketAddr,
    sa: Arc<Sa>,
}

fn anything() -> Selector {
    let all = Span {
        first: 0,
        last: u128::from(u32::MAX),
    };
    Selector {
        v6: false,
        local: all,
        remote: all,
        protocol: 0,
        local_port: 0,
        remote_port: 0,
    }
}

/// Both directions have one key and one SPI, so that the peer can send back what it has got.
fn sa(remote: SocketAddr) -> Arc<Sa> {
    let suite = Suite::parse("aes128gcm16", None, false).unwrap();
    let key = [7; 20];
    Arc::new(Sa {
        serial: 1,
        spi_in: SPI,
        spi_out: SPI,
        seal: SealKey::new(suite, SPI, &key, &[]).unwrap(),
        open: OpenKey::new(suite, &key, &[]).unwrap(),
        replay_window: 64,
        sequence: AtomicU64::new(0),
        ends: ArcSwap::from_pointee(Ends {
            local: "127.0.0.1".parse::<IpAddr>().unwrap(),
            remote,
            udp: true,
        }),
        admits: ArcSwap::from_pointee(vec![anything()]),
        limits: Limits {
            soft: AtomicU64::new(UNLIMITED),
            hard: AtomicU64::new(UNLIMITED),
        },
        rules: Rules {
            copy_dscp: false,
            df: Df::Copy,
            fragment_after: false,
            mss: Mss::Off,
            device_mtu: 1400,
        },
        mtu: Mtu {
            inner: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
        },
        count: Counters::default(),
        soft_told: AtomicBool::new(false),
        hard_told: AtomicBool::new(false),
    })
}

impl Rig {
    fn new() -> Self {
        let shared = Shared::new(0.0).unwrap();
        let (host, device) = UnixDatagram::pair().unwrap();
        device.set_nonblocking(true).unwrap();
        let local = UdpSocket::bind("127.0.0.1:0").unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let wait = Some(Duration::from_secs(60));
        host.set_read_timeout(wait).unwrap();
        peer.set_read_timeout(wait).unwrap();
        let ours = local.local_addr().unwrap();
        let sa = sa(peer.local_addr().unwrap());
        shared.sas.insert(Arc::clone(&sa));
        let policy = Arc::new(Policy::new(1, anything(), false));
        policy.sending.store(Some(Arc::clone(&sa)));
        shared.policies.store(Arc::new(PolicyTable::new(&[policy])));
        let device = Queue::stand_in(OwnedFd::from(device));
        shared.device.store(Some(Arc::new(device)));
        let sockets = Sockets {
            udp: vec![local.into()],
            ..Sockets::default()
        };
        let workers = Workers::start(&shared, sockets).unwrap();
        Self {
            shared,
            workers,
            host,
            peer,
            ours,
            sa,
        }
    }

    /// The host sends one packet into the device.
    fn send(&self, number: u8) {
        let mut packet = [0; VIRTIO_LEN + 24];
        packet[VIRTIO_LEN..][..4].copy_from_slice(&[0x45, 0, 0, 24]);
        packet[VIRTIO_LEN + 8] = 64;
        packet[VIRTIO_LEN + 9] = 253; // for experiments
        packet[VIRTIO_LEN + 23] = number;
        self.host.send(&packet).unwrap();
    }

    /// The next ESP packet, and its sequence number.
    fn sealed(&self) -> (Vec<u8>, u32) {
        let mut packet = [0; 2000];
        let length = self.peer.recv(&mut packet).expect("an ESP packet");
        let number = u32::from_be_bytes(packet[4..8].try_into().unwrap());
        (packet[..length].to_vec(), number)
    }

    /// The peer sends an ESP packet.
    fn answer(&self, packet: &[u8]) {
        self.peer.send_to(packet, self.ours).unwrap();
    }

    /// The number of the packet that comes out of the device next.
    fn delivered(&self) -> u8 {
        let mut packet = [0; 2000];
        let length = self.host.recv(&mut packet).expect("a packet");
        packet[length - 1]
    }

    /// Wait for a worker to tell that it has failed; what it says.
    fn failure(&self) -> (&'static str, String) {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            for event in self.shared.events.take() {
                if let Event::Failed { worker, text } = event {
                    return (worker, text);
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("no worker has told of a failure");
    }

    fn provoke(&self, worker: usize) {
        self.shared.provoked[worker].store(true, Ordering::Release);
    }
}

#[test]
fn a_worker_that_panics_is_told_of_and_goes_on_with_its_numbers_and_windows() {
    let mut rig = Rig::new();
    rig.send(1);
    let (first, number) = rig.sealed();
    assert_eq!(number, 1);
    rig.answer(&first);
    assert_eq!(rig.delivered(), 1);

    rig.provoke(OUTBOUND);
    rig.send(2);
    assert_eq!(rig.failure(), ("outbound", "provoked".to_string()));
    rig.send(3);
    let (third, number) = rig.sealed();
    assert_eq!(number, 3, "the number of the batch that was lost is used");

    rig.provoke(INBOUND);
    rig.answer(&third);
    assert_eq!(rig.failure(), ("inbound", "provoked".to_string()));
    rig.answer(&first);
    rig.answer(&third);
    assert_eq!(
        rig.delivered(),
        3,
        "it was not admitted before, so that it still may be"
    );
    let replayed = rig.sa.count.replayed.load(Ordering::Relaxed);
    assert_eq!(replayed, 1, "the window knows the first packet still");

    for round in 0..4 {
        rig.provoke(OUTBOUND);
        rig.send(4);
        assert_eq!(rig.failure().0, "outbound", "round {round}");
    }
    rig.send(5);
    assert_eq!(rig.sealed().1, 8);
    rig.workers.stop();
}
