//! What `vpnengine.dataplane.native` drives. Every call is made on the engine's event loop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::esp::{OpenKey, SealKey, Suite};
use crate::events::Event;
use crate::inner::{Df, Mss, Rules};
use crate::path::{Shared, Sockets, Workers};
use crate::policies::{Policies, SelectorRow, selector};
use crate::sa::{Counters, Ends, Limits, Mtu, Sa, UNLIMITED};
use crate::table::Policy;
use crate::tun;

/// (bytes in, bytes out, packets in, packets out, replayed, failed, last in, last out).
type CounterRow = (u64, u64, u64, u64, u64, u64, Option<f64>, Option<f64>);

/// The parameters of one pair.
#[derive(FromPyObject)]
struct Pair {
    spi_in: u32,
    spi_out: u32,
    encryption: String,
    integrity: Option<String>,
    esn: bool,
    key_in: Vec<u8>,
    key_out: Vec<u8>,
    integrity_in: Vec<u8>,
    integrity_out: Vec<u8>,
    replay_window: u32,
    local: String,
    remote: (String, u16),
    udp: bool,
    soft: Option<u64>,
    hard: Option<u64>,
    admits: Vec<SelectorRow>,
    copy_dscp: bool,
    df: String,
    fragment: String,
    mss: Option<u16>,
    device_mtu: usize,
}

/// The data path: its tables, its device and its threads.
#[pyclass]
struct NativePath {
    shared: Arc<Shared>,
    workers: Option<Workers>,
    policies: Option<Py<Policies>>,
    serial: u64,
    unprotected: bool,
}

fn address(host: &str, port: u16) -> PyResult<SocketAddr> {
    Ok(SocketAddr::new(ip(host)?, port))
}

fn ip(host: &str) -> PyResult<IpAddr> {
    host.parse()
        .map_err(|_| PyValueError::new_err(format!("'{host}' is no IP address")))
}

fn refused(error: &std::io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(errno) => PyOSError::new_err((errno, error.to_string())),
        None => PyOSError::new_err(error.to_string()),
    }
}

/// A descriptor of our own for one that Python keeps.
fn duplicate(fd: RawFd) -> PyResult<OwnedFd> {
    // SAFETY: Python holds the descriptor open during the call; it is only duplicated.
    unsafe { BorrowedFd::borrow_raw(fd) }
        .try_clone_to_owned()
        .map_err(|error| refused(&error))
}

#[pymethods]
impl NativePath {
    /// `now` is the engine's monotonic time. `unprotected` lets a benchmark have SAs that neither encrypt nor
    /// authenticate; nothing else sets it.
    #[new]
    #[pyo3(signature = (now, unprotected=false))]
    fn new(now: f64, unprotected: bool) -> PyResult<Self> {
        let shared = Shared::new(now).map_err(|error| refused(&error))?;
        Ok(Self {
            shared,
            workers: None,
            policies: None,
            serial: 0,
            unprotected,
        })
    }

    /// Start the threads, which read these sockets from now on; the name of the cipher library.
    /// With a mark they also carry ESP without UDP, in sockets of their own with that mark.
    #[pyo3(signature = (udp, mark=None))]
    fn start(&mut self, udp: Vec<RawFd>, mark: Option<u32>) -> PyResult<&'static str> {
        let udp = udp.into_iter().map(duplicate).collect::<PyResult<_>>()?;
        let raw = mark
            .map_or(Ok(Vec::new()), raw_sockets)
            .map_err(|error| refused(&error))?;
        let sockets = Sockets {
            udp,
            raw,
            mark: mark.unwrap_or(0),
        };
        let workers = Workers::start(&self.shared, sockets).map_err(|error| refused(&error))?;
        let backend = workers.backend;
        self.workers = Some(workers);
        Ok(backend)
    }

    /// End the threads; forget SAs with their keys, policies and the device.
    fn stop(&mut self, py: Python<'_>) {
        if let Some(mut workers) = self.workers.take() {
            py.detach(|| workers.stop());
        }
        self.shared.device.store(None);
        for sa in self.shared.sas.all() {
            self.shared.sas.remove(sa.spi_in);
        }
        self.policies = None;
        self.shared.policies.store(Arc::default());
    }

    /// Make the TUN device and read it; what it hands over uncut: (TCP, UDP).
    fn open_device(&self, name: &str) -> PyResult<(bool, bool)> {
        let mut queues = tun::open(name, 1).map_err(|error| refused(&error))?;
        let queue = queues
            .pop()
            .ok_or_else(|| PyRuntimeError::new_err("the device has no queue"))?;
        let offloads = queue.offloads();
        self.attach(queue);
        Ok((offloads.tso, offloads.uso))
    }

    /// For tests: packets with a virtio header each come from and go to this descriptor.
    fn adopt_device(&self, fd: RawFd) -> PyResult<()> {
        self.attach(tun::Queue::stand_in(duplicate(fd)?));
        Ok(())
    }

    /// Let go of the device, which vanishes with that.
    fn close_device(&self) {
        self.shared.device.store(None);
        self.shared.outbound.ring();
        self.shared.inbound.ring();
    }

    fn device_gone(&self) -> bool {
        self.shared.device_gone.load(Ordering::Acquire)
    }

    /// Readable when `take_events` has something.
    fn event_fd(&self) -> RawFd {
        self.shared.events.fd()
    }

    /// What happened since the last call, each a tuple that begins with its kind.
    fn take_events<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.shared
            .events
            .take()
            .into_iter()
            .map(|event| event_tuple(py, event))
            .collect()
    }

    /// Make exactly these policies effective.
    fn set_policies(&mut self, policies: Bound<'_, Policies>) {
        self.shared
            .policies
            .store(Arc::clone(&policies.get().table));
        self.shared.outbound.ring();
        self.policies = Some(policies.unbind());
    }

    /// The pair that traffic of a policy goes to, by our SPI; None for none.
    fn set_sending(&self, number: u64, spi_in: Option<u32>) {
        if let Some(policy) = self.policy(number) {
            policy
                .sending
                .store(spi_in.and_then(|spi| self.shared.sas.get(spi)));
            self.shared.outbound.ring();
        }
    }

    /// How many pairs of a policy are installed and do not send yet.
    fn set_larval(&self, number: u64, count: u32) {
        if let Some(policy) = self.policy(number) {
            policy.larval.store(count, Ordering::Release);
        }
    }

    /// Install both directions of a pair.
    fn add(&mut self, pair: Pair) -> PyResult<()> {
        let wrong = |error: crate::esp::SuiteError| PyValueError::new_err(error.to_string());
        let suite = if self.unprotected && pair.encryption == "none" {
            Suite::unprotected()
        } else {
            Suite::parse(&pair.encryption, pair.integrity.as_deref(), pair.esn).map_err(wrong)?
        };
        self.serial += 1;
        let remote = address(&pair.remote.0, if pair.udp { pair.remote.1 } else { 0 })?;
        let rules = rules(&pair)?;
        let sa = Sa {
            serial: self.serial,
            spi_in: pair.spi_in,
            spi_out: pair.spi_out,
            seal: SealKey::new(suite, pair.spi_out, &pair.key_out, &pair.integrity_out)
                .map_err(wrong)?,
            open: OpenKey::new(suite, &pair.key_in, &pair.integrity_in).map_err(wrong)?,
            replay_window: pair.replay_window,
            sequence: AtomicU64::new(0),
            ends: ArcSwap::from_pointee(Ends {
                local: ip(&pair.local)?,
                remote,
                udp: pair.udp,
            }),
            admits: ArcSwap::from_pointee(pair.admits.iter().map(selector).collect()),
            limits: Limits {
                soft: limit(pair.soft),
                hard: limit(pair.hard),
            },
            rules,
            mtu: Mtu {
                inner: AtomicUsize::new(0),
                asked: AtomicU64::new(0),
            },
            count: Counters::default(),
            soft_told: AtomicBool::new(false),
            hard_told: AtomicBool::new(false),
        };
        sa.mtu.inner.store(sa.inner_mtu(1500), Ordering::Relaxed);
        self.shared.sas.insert(Arc::new(sa));
        Ok(())
    }

    fn remove(&self, spi_in: u32) {
        self.shared.sas.remove(spi_in);
        self.shared.inbound.ring();
    }

    fn set_limits(&self, spi_in: u32, soft: Option<u64>, hard: Option<u64>) {
        if let Some(sa) = self.shared.sas.get(spi_in) {
            sa.limits
                .soft
                .store(soft.unwrap_or(UNLIMITED), Ordering::Relaxed);
            sa.limits
                .hard
                .store(hard.unwrap_or(UNLIMITED), Ordering::Relaxed);
        }
    }

    fn set_admits(&self, spi_in: u32, rows: Vec<SelectorRow>) {
        if let Some(sa) = self.shared.sas.get(spi_in) {
            sa.admits
                .store(Arc::new(rows.iter().map(selector).collect()));
        }
    }

    fn set_remote(&self, spi_in: u32, host: &str, port: u16) -> PyResult<()> {
        if let Some(sa) = self.shared.sas.get(spi_in) {
            let ends = **sa.ends.load();
            let remote = address(host, if ends.udp { port } else { 0 })?;
            sa.mtu.asked.store(0, Ordering::Relaxed);
            sa.ends.store(Arc::new(Ends { remote, ..ends }));
        }
        Ok(())
    }

    /// Counters by our SPI.
    fn counters(&self) -> Vec<(u32, CounterRow)> {
        let clock = self.shared.clock;
        let row = |sa: Arc<Sa>| {
            let count = &sa.count;
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let row = (
                read(&count.bytes_in),
                read(&count.bytes_out),
                read(&count.packets_in),
                read(&count.packets_out),
                read(&count.replayed),
                read(&count.failed),
                clock.seconds(read(&count.last_in)),
                clock.seconds(read(&count.last_out)),
            );
            (sa.spi_in, row)
        };
        self.shared.sas.all().into_iter().map(row).collect()
    }

    /// (reason or place, errno or None, packets).
    fn drops(&self) -> Vec<(&'static str, Option<usize>, u64)> {
        self.shared.drops.read()
    }

    /// Wait until both workers have dealt with all that came before; False if that takes longer than five seconds.
    fn barrier(&self, py: Python<'_>) -> bool {
        let shared = &self.shared;
        let rounds = || {
            [&shared.outbound_rounds, &shared.inbound_rounds]
                .map(|count| count.load(Ordering::Acquire))
        };
        let before = rounds();
        py.detach(|| {
            for _ in 0..5000 {
                shared.outbound.ring();
                shared.inbound.ring();
                if rounds()
                    .iter()
                    .zip(before)
                    .all(|(now, then)| *now >= then + 2)
                {
                    return true;
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            false
        })
    }

    /// How many selectors may have packets that wait; a test has fewer.
    fn limit_held(&self, selectors: usize) {
        self.shared
            .selectors_held
            .store(selectors, Ordering::Relaxed);
    }
}

impl NativePath {
    fn policy(&self, number: u64) -> Option<&Arc<Policy>> {
        self.policies.as_ref()?.get().by_number.get(&number)
    }

    fn attach(&self, queue: tun::Queue) {
        self.shared.device.store(Some(Arc::new(queue)));
        self.shared.device_gone.store(false, Ordering::Release);
        self.shared.outbound.ring();
        self.shared.inbound.ring();
    }
}

/// Raw sockets for both families; a host without IPv6 has one.
fn raw_sockets(mark: u32) -> std::io::Result<Vec<OwnedFd>> {
    let open = |local: IpAddr| {
        crate::raw::open(local, mark).map(|socket| {
            socket.set_buffers(BUFFERS);
            socket.into()
        })
    };
    let v4 = open(Ipv4Addr::UNSPECIFIED.into())?;
    Ok(std::iter::once(v4)
        .chain(open(Ipv6Addr::UNSPECIFIED.into()))
        .collect())
}

/// Octets that wait in a raw socket: a burst of 64 KB reads.
const BUFFERS: usize = 4 << 20;

fn rules(pair: &Pair) -> PyResult<Rules> {
    let df = match pair.df.as_str() {
        "copy" => Df::Copy,
        "set" => Df::Set,
        "clear" => Df::Clear,
        other => {
            return Err(PyValueError::new_err(format!(
                "df: there is no rule '{other}'"
            )));
        }
    };
    let mss = match pair.mss {
        None => Mss::Off,
        Some(0) => Mss::Fitting,
        Some(size) => Mss::Fixed(size),
    };
    let (copy_dscp, device_mtu) = (pair.copy_dscp, pair.device_mtu);
    Ok(Rules {
        copy_dscp,
        df,
        fragment_after: pair.fragment == "after",
        mss,
        device_mtu,
    })
}

fn limit(octets: Option<u64>) -> AtomicU64 {
    AtomicU64::new(octets.unwrap_or(UNLIMITED))
}

fn event_tuple(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyAny>> {
    let ends = |one: SocketAddr| (one.ip().to_string(), one.port());
    let tuple = match event {
        Event::Ike {
            datagram,
            local,
            remote,
        } => (
            "ike",
            PyBytes::new(py, &datagram),
            ends(local),
            ends(remote),
        )
            .into_pyobject(py)?
            .into_any(),
        Event::Acquire { policy } => ("acquire", policy).into_pyobject(py)?.into_any(),
        Event::SoftExpired { spi_in } => ("soft", spi_in).into_pyobject(py)?.into_any(),
        Event::HardExpired { spi_in } => ("hard", spi_in).into_pyobject(py)?.into_any(),
        Event::Moved { spi_in, remote } => ("moved", spi_in, ends(remote))
            .into_pyobject(py)?
            .into_any(),
        Event::Failed { worker, text } => ("failed", worker, text).into_pyobject(py)?.into_any(),
    };
    Ok(tuple)
}

/// The module that `vpnengine.dataplane.native` wraps.
#[pymodule(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    crate::esp::python::register(module)?;
    module.add_class::<Policies>()?;
    module.add_class::<NativePath>()
}
