//! The proof: a gateway of its own with the patched configuration, a scan through it, and ordinary calls again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use portcullis_engine::State;
use portcullis_proxy::{Listen, ProxyHandle};
use portcullis_store::events::{Query, Reader};
use portcullis_watch::{DecisionWord, Details, ExchangeReport, Name, Recording, ReplayOptions, replay};
use tokio::sync::oneshot;

use crate::config::{self, Overrides};
use crate::exit::{Failure, Result};
use crate::gateway::keys::Keys;
use crate::gateway::{Gateway, build, events_folder};

/// A configuration that is tried: its text beside the original, so that its relative paths lead where they should.
#[derive(Debug)]
pub(super) struct Trial {
    /// Gone when the trial is over.
    _file: tempfile::NamedTempFile,
    overrides: Overrides,
}

/// The gateway as a configuration has it.
///
/// # Errors
/// If the configuration does not compile.
pub(super) fn compile(overrides: &Overrides) -> Result<portcullis_guards::Compiled> {
    let config = config::load(overrides).map_err(Failure::usage)?;
    let keys = match config.gateway.data.is_dir() {
        true => Keys::open(&config.gateway.data)?,
        false => Keys::none(),
    };
    build::compile(&config, keys.ring().clone(), Arc::new(State::default())).map_err(Failure::usage)
}

impl Trial {
    /// # Errors
    /// If its folder cannot be written, or the configuration does not compile.
    pub(super) fn new(original: &Path, text: &str, overrides: &Overrides) -> Result<Trial> {
        let folder = original.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        let failed = |error: std::io::Error| Failure::Incomplete(format!("`{}`: {error}", folder.display()));
        let mut file = tempfile::Builder::new()
            .prefix(".portcullis-fix-")
            .suffix(".yaml")
            .tempfile_in(folder)
            .map_err(failed)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
        let overrides = Overrides { config: Some(file.path().to_owned()), ..overrides.clone() };
        let trial = Trial { _file: file, overrides };
        compile(&trial.overrides)?;
        Ok(trial)
    }

    /// Recorded calls through its engine: how many, and those that went through then and would be stopped now, each with
    /// its operation and the code.
    ///
    /// # Errors
    /// If the configuration does not compile.
    pub(super) fn replay(&self, recording: &Recording, credential: Option<&str>) -> Result<Replayed> {
        let compiled = compile(&self.overrides)?;
        let mut options = ReplayOptions { details: Details::All, ..ReplayOptions::default() };
        options.credential = credential.map(Into::into);
        let report = replay(&compiled.engine, recording.clone(), &options);
        let passed = |name: Name| {
            let recorded = recording.exchanges().iter().find(|one| one.name == name);
            recorded.is_some_and(|one| match (&one.past, &one.response) {
                (Some(past), _) => matches!(past.decision, DecisionWord::Permitted | DecisionWord::Answered),
                (None, Some(response)) => response.status.as_u16() < 400,
                (None, None) => false,
            })
        };
        let through = |one: &&ExchangeReport| {
            matches!(one.now.decision, DecisionWord::Permitted | DecisionWord::Answered)
        };
        let untold = report.details.iter().filter(|one| one.now.decision == DecisionWord::Undecided).count();
        let stopped = report
            .details
            .iter()
            .filter(|one| !through(one) && one.now.decision != DecisionWord::Undecided && passed(one.name));
        let stopped = stopped.map(|one| Stopped {
            call: format!("{} {}", one.method, one.path),
            operation: one.operation.clone(),
            code: one
                .now
                .code
                .map_or_else(|| format!("{:?}", one.now.decision).to_lowercase(), str::to_owned),
            guard: one.now.guard.map(str::to_owned),
        });
        Ok(Replayed { calls: report.exchanges, untold, stopped: stopped.collect() })
    }

    /// Starts a gateway of it on loopback, with a data folder of its own that holds the same keys.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn start(&self) -> Result<Running> {
        let mut config = config::load(&self.overrides).map_err(Failure::usage)?;
        let failed = |error: std::io::Error| {
            Failure::Incomplete(format!("a gateway for the proof cannot be started: {error}"))
        };
        let data = tempfile::tempdir().map_err(failed)?;
        copy_keys(&config.gateway.data, data.path()).map_err(failed)?;
        config.gateway.data = data.path().to_owned();
        // The proof is read from them.
        config.gateway.events.keep = true;
        config.gateway.proxy.listen =
            vec![Listen { address: ([127, 0, 0, 1], 0).into(), tls: false, proxy_protocol: false }];
        config.gateway.proxy.tls = None;
        config.gateway.admin = None;
        // Nobody is to be woken by an attack that is none.
        config.gateway.alerts.webhook = None;
        config.gateway.log.access = crate::observe::access::Format::Off;
        let gateway = Gateway::start(config, self.overrides.clone())?;
        let address = *gateway.listen().first().ok_or_else(|| Failure::Incomplete("no listener".into()))?;
        let proxy = gateway.proxy();
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let serving = thread::Builder::new()
            .name("proof".into())
            .spawn(move || {
                let _ = runtime.block_on(gateway.serve(async {
                    let _ = stopped.await;
                }));
            })
            .map_err(failed)?;
        Ok(Running { address, data, proxy, stop: Some(stop), serving: Some(serving) })
    }
}

/// What a replay came to.
#[derive(Debug, Clone)]
pub(super) struct Replayed {
    pub(super) calls: u64,
    /// Of which the recording does not hold enough to say.
    pub(super) untold: usize,
    pub(super) stopped: Vec<Stopped>,
}

/// A recorded call that would be stopped.
#[derive(Debug, Clone)]
pub(super) struct Stopped {
    pub(super) call: String,
    pub(super) operation: Option<String>,
    pub(super) code: String,
    pub(super) guard: Option<String>,
}

/// A gateway that runs for the proof; ends when dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) address: SocketAddr,
    data: tempfile::TempDir,
    proxy: ProxyHandle,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Running {
    /// Lets `time` go by for its guards, at once.
    pub(super) fn wait(&self, time: Duration) {
        self.proxy.advance(time);
        // Its workers look ten times a second how late it is.
        thread::sleep(Duration::from_millis(250));
    }

    /// What its guards did until now: by operation (its id), guard and code, how often.
    pub(super) fn deeds(&self) -> BTreeMap<(String, String, String), u64> {
        let mut deeds = BTreeMap::new();
        let Ok(reader) = Reader::open(events_folder(self.data.path())) else { return deeds };
        let Ok(events) = reader.query(&Query::default()) else { return deeds };
        for event in events.flatten() {
            let operation = event.operation.clone().unwrap_or_default();
            for finding in event.findings.iter().filter(|finding| finding.enforced) {
                let key = (operation.clone(), finding.guard.to_string(), finding.code.to_string());
                *deeds.entry(key).or_insert(0) += 1;
            }
        }
        deeds
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// Copies what is beside the events and the socket: the keys and what they are stretched with.
fn copy_keys(from: &Path, to: &Path) -> std::io::Result<()> {
    let Ok(entries) = std::fs::read_dir(from) else { return Ok(()) };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())) {
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
