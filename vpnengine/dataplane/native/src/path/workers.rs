//! The threads: how they start, what becomes of a panic, how they end.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cores;
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::shared::Shared;
use super::wire::{Receiver, Sender};
use crate::esp::{Backend, Engine};
use crate::events::Event;
use crate::udp::PathMtu;

/// Descriptors of our own for the engine's sockets.
#[derive(Default)]
pub struct Sockets {
    pub udp: Vec<OwnedFd>,
    /// Raw sockets for ESP without UDP.
    pub raw: Vec<OwnedFd>,
    /// On every outer packet; 0 for none.
    pub mark: u32,
}

/// Both workers. They end with `stop`, or when this is dropped.
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// The library that carries the ciphers.
    pub backend: &'static str,
}

impl Workers {
    /// Begin to carry packets.
    pub fn start(shared: &Arc<Shared>, sockets: Sockets) -> std::io::Result<Self> {
        let broken = |error: crate::esp::SuiteError| std::io::Error::other(error.to_string());
        let (sealing, opening) = (
            Engine::new(Backend::Best).map_err(broken)?,
            Engine::new(Backend::Best).map_err(broken)?,
        );
        let backend = sealing.backend();
        let mut receivers = Vec::new();
        let (mut own, mut own_raw) = (Vec::new(), Vec::new());
        for fd in sockets.udp {
            own.push(fd.try_clone()?);
            receivers.push(Receiver::udp(fd)?);
        }
        for fd in sockets.raw {
            own_raw.push(fd.try_clone()?);
            receivers.push(Receiver::raw(fd)?);
        }
        let (sender, path) = (Sender::new(own, own_raw)?, PathMtu::new(sockets.mark));
        let mut outbound = Outbound::new(Arc::clone(shared), sender, path, sealing);
        let mut inbound = Inbound::new(Arc::clone(shared), receivers, opening);
        shared.stop.store(false, Ordering::Release);
        let mut made = Self {
            shared: Arc::clone(shared),
            threads: Vec::new(),
            backend,
        };
        made.spawn(OUTBOUND, move || {
            outbound.reset();
            outbound.run();
        })?;
        made.spawn(INBOUND, move || inbound.run())?;
        Ok(made)
    }

    /// Run `work` until it ends in good order. After a panic the engine is told, and it begins again with what it knows.
    fn spawn(
        &mut self,
        name: &'static str,
        mut work: impl FnMut() + Send + 'static,
    ) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let body = move || {
            cores::keep_to_half(name == INBOUND);
            let mut pause = SHORTEST;
            loop {
                let began = Instant::now();
                let Err(payload) = catch_unwind(AssertUnwindSafe(&mut work)) else {
                    return;
                };
                shared.tell(Event::Failed {
                    worker: name,
                    text: message(&*payload),
                });
                if shared.stopped() {
                    return;
                }
                // One that fails again and again would fill the log.
                pause = if began.elapsed() > LONGEST * 10 {
                    SHORTEST
                } else {
                    (pause * 2).min(LONGEST)
                };
                std::thread::sleep(pause);
            }
        };
        self.threads.push(
            std::thread::Builder::new()
                .name(format!("culvert-{name}"))
                .spawn(body)?,
        );
        Ok(())
    }

    /// End both threads and wait for them.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.outbound.ring();
        self.shared.inbound.ring();
        for thread in self.threads.drain(..) {
            // The panic of a worker has been told of already.
            let _ = thread.join();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
    }
}

const OUTBOUND: &str = "outbound";
const INBOUND: &str = "inbound";
/// Before a worker that has failed begins again: twice as long each time, unless it has worked well for a while.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(1);

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_string())
}
