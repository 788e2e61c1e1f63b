//! From a checked configuration to an engine; the same for `run`, `config`, `replay` and `demo`.

use std::path::Path;
use std::sync::Arc;

use portcullis_engine::State;
use portcullis_guards::Compiled;
use portcullis_identity::{KeyRing, KeyRingHandle, Pepper};
use portcullis_openapi::{Contract, Folder};

use crate::config::checked::ContractSource;
use crate::config::{Config, ConfigError, ConfigErrors, Fault};
use crate::exit::Result;

/// Loads the contract and compiles the policies over it.
pub(crate) fn compile(
    config: &Config,
    keys: KeyRingHandle,
    state: Arc<State>,
) -> std::result::Result<Compiled, ConfigErrors> {
    let contract =
        config.gateway.contract.as_ref().map(|source| load_contract(config, source)).transpose()?;
    compile_over(config, contract.map(Arc::new), keys, state)
}

/// As [`compile`], with a contract that is loaded already.
pub(crate) fn compile_over(
    config: &Config,
    contract: Option<Arc<Contract>>,
    keys: KeyRingHandle,
    state: Arc<State>,
) -> std::result::Result<Compiled, ConfigErrors> {
    let settings = config.gateway.settings.clone();
    portcullis_guards::compile(contract, &config.policies, settings, keys, state).map_err(|errors| {
        ConfigErrors(
            errors
                .into_iter()
                .map(|error| config.error_at(&error.pointer, Fault::new(error.message)))
                .collect(),
        )
    })
}

/// Loads the contract's document and the files that it refers to.
pub(crate) fn load_contract(
    config: &Config,
    source: &ContractSource,
) -> std::result::Result<Contract, ConfigErrors> {
    let ContractSource { file, options } = source;
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let failed = |what: String| {
        let fault = Fault::new(what);
        match config.document.is_some()
            && config.document.as_ref().is_some_and(|d| d.get("/contract").is_some())
        {
            true => config.error_at("/contract", fault),
            false => ConfigError::whole("--spec", fault.what),
        }
    };
    let Some(name) = file.file_name() else {
        return Err(failed(format!("`{}` is not a file", file.display())).into());
    };
    Contract::load(&name.to_string_lossy(), &Folder::new(folder), options)
        .map_err(|error| failed(format!("the contract cannot be loaded: {error}")).into())
}

/// The keys of a data folder, and the ring that the engine asks.
#[derive(Debug)]
pub(crate) struct Keys {
    ring: KeyRingHandle,
}

impl Keys {
    /// Opens the keys in `data`.
    pub(crate) fn open(_data: &Path) -> Result<Keys> {
        Ok(Keys::none())
    }

    /// No keys at all.
    pub(crate) fn none() -> Keys {
        Keys { ring: KeyRingHandle::new(KeyRing::empty(Pepper::new([0; 32]))) }
    }

    /// Keys that are in no store.
    pub(crate) fn fixed(ring: KeyRingHandle) -> Keys {
        Keys { ring }
    }

    /// The ring that engines ask.
    pub(crate) fn ring(&self) -> &KeyRingHandle {
        &self.ring
    }

    /// Reads the keys again, where they changed or `always`. How many there are.
    pub(crate) fn refresh(&self, _always: bool) -> std::result::Result<Option<usize>, String> {
        Ok(None)
    }
}
