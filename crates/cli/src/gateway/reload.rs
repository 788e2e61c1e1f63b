//! Reloading: on a signal, on a command, and when a file changes. Compiled aside, swapped whole; what is broken
//! leaves the old plan in force.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_engine::{EngineHandle, State};
use portcullis_guards::Credentials;
use portcullis_proxy::ProxyHandle;

use super::build;
use super::files::Files;
use super::keys::Keys;
use super::lookups::Lookups;
use crate::config::checked::Fixed;
use crate::config::{self, Overrides};
use crate::control::{Answer, Ask};

/// What a reload needs.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) lookups: Arc<Lookups>,
    /// With which keys and issuers it began.
    pub(crate) credentials: Credentials,
    pub(crate) overrides: Overrides,
    pub(crate) files: Vec<PathBuf>,
    /// What was decided at start.
    pub(crate) fixed: Fixed,
    pub(crate) engine: EngineHandle,
    pub(crate) proxy: ProxyHandle,
    pub(crate) state: Arc<State>,
}

/// Loads everything again, one time after the other, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Reloader {
    jobs: Mutex<Sender<Job>>,
    /// Reloads that took effect.
    pub(crate) done: AtomicU64,
    /// Reloads that did not.
    pub(crate) failed: AtomicU64,
    keys: Keys,
    problem: Mutex<Option<String>>,
    key_problem: Mutex<Option<String>>,
}

#[derive(Debug)]
enum Job {
    Reload(Option<Sender<Answer>>),
    Stop,
}

/// What a reload came to.
struct Reloaded {
    /// The files that it was made of.
    files: Vec<PathBuf>,
    /// Keys whose change takes a restart.
    restart: Vec<&'static str>,
}

/// How often files and keys are looked at.
const LOOK: Duration = Duration::from_millis(500);

impl Reloader {
    /// Starts the thread.
    pub(crate) fn start(parts: Parts, keys: Keys) -> std::io::Result<Arc<Reloader>> {
        let (jobs, queue) = channel();
        let reloader = Arc::new(Reloader {
            jobs: Mutex::new(jobs),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            keys,
            problem: Mutex::default(),
            key_problem: Mutex::default(),
        });
        let this = Arc::clone(&reloader);
        std::thread::Builder::new().name("reload".into()).spawn(move || this.run(parts, &queue))?;
        Ok(reloader)
    }

    /// Asks for a reload without waiting for it.
    pub(crate) fn ask(&self) {
        let _ = self.send(Job::Reload(None));
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        let _ = self.send(Job::Stop);
    }

    /// Does what a command asks for and says how it went.
    pub(crate) fn answer(&self, ask: Ask) -> Answer {
        // A revocation does not wait until a large contract is compiled.
        if ask == Ask::Keys {
            return self.refresh(true);
        }
        let (reply, wait) = channel();
        let answer = self
            .send(Job::Reload(Some(reply)))
            .ok()
            .and_then(|()| wait.recv_timeout(Duration::from_secs(25)).ok());
        answer.unwrap_or(Answer { ok: false, message: "the gateway did not answer in time".into() })
    }

    /// What is wrong with the last reload and with the keys.
    pub(crate) fn problems(&self) -> [Option<String>; 2] {
        [lock(&self.problem).clone(), lock(&self.key_problem).clone()]
    }

    fn send(&self, job: Job) -> Result<(), std::sync::mpsc::SendError<Job>> {
        lock(&self.jobs).send(job)
    }

    fn run(&self, mut parts: Parts, queue: &Receiver<Job>) {
        let mut files = Files::new(std::mem::take(&mut parts.files));
        loop {
            match queue.recv_timeout(LOOK) {
                Ok(Job::Reload(reply)) => {
                    let answer = self.reload(&parts, &mut files, "asked for");
                    reply.map(|reply| reply.send(answer));
                }
                Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.refresh(false);
                    if files.changed() {
                        self.reload(&parts, &mut files, "a file changed");
                    }
                }
            }
        }
    }

    fn reload(&self, parts: &Parts, files: &mut Files, why: &str) -> Answer {
        *files = files.again();
        match self.attempt(parts) {
            Ok(Reloaded { files: now, restart }) => {
                *files = files.instead(now);
                self.done.fetch_add(1, Ordering::Relaxed);
                *lock(&self.problem) = None;
                tracing::info!(why, "reloaded");
                let mut message = String::from("reloaded");
                if !restart.is_empty() {
                    let keys = format!("`{}`", restart.join("`, `"));
                    tracing::warn!("{keys} changed, which takes a restart; all else was reloaded");
                    message = format!("reloaded, but for {keys}: what changed there takes a restart");
                }
                Answer { ok: true, message }
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                *lock(&self.problem) = Some(error.clone());
                tracing::error!(why, "not reloaded, the old configuration stays in force:\n{error}");
                Answer { ok: false, message: error }
            }
        }
    }

    /// Loads, compiles and puts in force.
    fn attempt(&self, parts: &Parts) -> Result<Reloaded, String> {
        let config = config::load(&parts.overrides).map_err(|error| error.to_string())?;
        let credentials = Credentials { tokens: Some(parts.lookups.tokens()), ..parts.credentials.clone() };
        let (compiled, files) = build::compile_watched(&config, credentials, Arc::clone(&parts.state))
            .map_err(|error| error.to_string())?;
        parts.proxy.reload(&config.gateway.proxy).map_err(|error| error.to_string())?;
        parts.lookups.use_tokens(compiled.tokens);
        parts.engine.swap(compiled.engine);
        for warning in &compiled.report.warnings {
            tracing::warn!("{warning}");
        }
        Ok(Reloaded { files, restart: parts.fixed.changed(&config.gateway.fixed()) })
    }

    fn refresh(&self, always: bool) -> Answer {
        match self.keys.refresh(always) {
            Ok(count) => {
                *lock(&self.key_problem) = None;
                if let Some(count) = count {
                    tracing::info!(count, "keys read");
                }
                Answer { ok: true, message: "keys are in force".into() }
            }
            Err(error) => {
                let before = lock(&self.key_problem).replace(error.clone());
                if before.as_ref() != Some(&error) {
                    tracing::error!("keys cannot be read, the old ones stay in force: {error}");
                }
                Answer { ok: false, message: error }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
