//! What the Python tests hold against the reference: one SA's way out and one SA's way in.

use super::{
    Backend, Engine, OpenJob, OpenKey, ReplayWindow, SealJob, SealKey, Sequence, Suite, SuiteError,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

impl From<SuiteError> for PyErr {
    fn from(error: SuiteError) -> Self {
        PyValueError::new_err(error.0)
    }
}

/// `ipsec-mb` or `openssl`.
fn engine(backend: &str) -> PyResult<Engine> {
    let wanted = match backend {
        "best" => Backend::Best,
        "openssl" => Backend::OpenSsl,
        other => {
            return Err(PyValueError::new_err(format!(
                "backend: it is best or openssl, not '{other}'"
            )));
        }
    };
    Ok(Engine::new(wanted)?)
}

/// Seals packets of one SA.
#[pyclass]
struct EspSealer {
    engine: Engine,
    key: SealKey,
    sequence: Sequence,
}

#[pymethods]
impl EspSealer {
    #[new]
    #[pyo3(signature = (spi, encryption, integrity, esn, key, integrity_key, *, backend = "best", used = 0))]
    #[allow(clippy::too_many_arguments)] // what an SA is made of
    fn new(
        spi: u32,
        encryption: &str,
        integrity: Option<&str>,
        esn: bool,
        key: &[u8],
        integrity_key: &[u8],
        backend: &str,
        used: u64,
    ) -> PyResult<Self> {
        let suite = Suite::parse(encryption, integrity, esn)?;
        Ok(Self {
            engine: engine(backend)?,
            key: SealKey::new(suite, spi, key, integrity_key)?,
            sequence: Sequence::after(esn, used),
        })
    }

    /// The library at work.
    #[getter]
    fn backend(&self) -> &'static str {
        self.engine.backend()
    }

    /// The ESP packets around payloads of one protocol, as one batch; fewer if the sequence numbers run out.
    fn seal<'py>(
        &mut self,
        py: Python<'py>,
        payloads: Vec<Vec<u8>>,
        next_header: u8,
    ) -> Vec<Option<Bound<'py, PyBytes>>> {
        let suite = self.key.suite();
        let mut buffers: Vec<Vec<u8>> = payloads
            .iter()
            .map(|payload| {
                let mut buffer = vec![0; suite.sealed_len(payload.len())];
                buffer[suite.offset()..suite.offset() + payload.len()].copy_from_slice(payload);
                buffer
            })
            .collect();
        let (key, numbers) = (&self.key, std::iter::from_fn(|| self.sequence.next()));
        let mut jobs: Vec<_> = buffers
            .iter_mut()
            .zip(&payloads)
            .zip(numbers)
            .map(|((buffer, payload), number)| {
                SealJob::new(key, buffer, payload.len(), number, next_header)
            })
            .collect();
        self.engine.seal(&mut jobs);
        jobs.iter()
            .map(|job| {
                job.sealed
                    .map(|length| PyBytes::new(py, &job.packet[..length]))
            })
            .collect()
    }
}

/// Opens packets of one SA, each at most once.
#[pyclass]
struct EspOpener {
    engine: Engine,
    key: OpenKey,
    window: ReplayWindow,
}

/// Payload and protocol, or why there is none.
type Outcome<'py> = Result<(Bound<'py, PyBytes>, u8), &'static str>;

#[pymethods]
impl EspOpener {
    #[new]
    #[pyo3(signature = (encryption, integrity, esn, key, integrity_key, *, backend = "best", window = 64))]
    fn new(
        encryption: &str,
        integrity: Option<&str>,
        esn: bool,
        key: &[u8],
        integrity_key: &[u8],
        backend: &str,
        window: u32,
    ) -> PyResult<Self> {
        let suite = Suite::parse(encryption, integrity, esn)?;
        Ok(Self {
            engine: engine(backend)?,
            key: OpenKey::new(suite, key, integrity_key)?,
            window: ReplayWindow::new(window, esn),
        })
    }

    /// The library at work.
    #[getter]
    fn backend(&self) -> &'static str {
        self.engine.backend()
    }

    /// The highest sequence number seen.
    #[getter]
    fn top(&self) -> u64 {
        self.window.top()
    }

    /// All numbers up to this one are in the past.
    fn advance(&mut self, to: u64) -> bool {
        self.window.commit(to)
    }

    /// For each packet of a batch its payload and protocol, or the reason why it is dropped. With `tunnel` the payload
    /// has to be an IP packet.
    #[pyo3(signature = (packets, tunnel = false))]
    fn open<'py>(
        &mut self,
        py: Python<'py>,
        packets: Vec<Vec<u8>>,
        tunnel: bool,
    ) -> PyResult<Vec<Py<PyAny>>> {
        let mut packets = packets;
        let checked: Vec<Result<u64, &'static str>> =
            packets.iter().map(|packet| self.check(packet)).collect();
        let key = &self.key;
        let mut jobs: Vec<_> = packets
            .iter_mut()
            .zip(&checked)
            .filter_map(|(packet, number)| Some(OpenJob::new(key, packet, (*number).ok()?)))
            .collect();
        self.engine.open(&mut jobs);
        let mut done = jobs.iter();
        checked
            .into_iter()
            .map(|number| {
                let outcome: Outcome<'py> = match number {
                    Err(reason) => Err(reason),
                    Ok(_) => outcome(
                        py,
                        &mut self.window,
                        done.next().expect("one for each number"),
                        tunnel,
                    ),
                };
                Ok(match outcome {
                    Ok(pair) => pair.into_pyobject(py)?.into_any().unbind(),
                    Err(reason) => reason.into_pyobject(py)?.into_any().unbind(),
                })
            })
            .collect()
    }
}

impl EspOpener {
    fn check(&self, packet: &[u8]) -> Result<u64, &'static str> {
        let low = packet
            .get(4..8)
            .and_then(|octets| octets.try_into().ok())
            .ok_or("too short")?;
        self.window.check(u32::from_be_bytes(low)).ok_or("replayed")
    }
}

fn outcome<'py>(
    py: Python<'py>,
    window: &mut ReplayWindow,
    job: &OpenJob<'_>,
    tunnel: bool,
) -> Outcome<'py> {
    let authentic = job.opened.is_ok() || job.opened.is_err_and(super::Refusal::is_authentic);
    if authentic && !window.commit(job.sequence) {
        return Err("replayed");
    }
    let opened = job.opened.and_then(|at| {
        if tunnel {
            at.tunnel(job.packet)
        } else {
            Ok(at)
        }
    });
    let at = opened.map_err(super::Refusal::name)?;
    Ok((
        PyBytes::new(py, &job.packet[at.offset..at.offset + at.len]),
        at.next_header,
    ))
}

/// Add the classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EspSealer>()?;
    module.add_class::<EspOpener>()
}
