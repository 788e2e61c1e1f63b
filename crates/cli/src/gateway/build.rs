//! From a checked configuration to an engine; the same for `run`, `config`, `replay` and `demo`.

use std::path::Path;
use std::sync::Arc;

use portcullis_engine::State;
use portcullis_guards::Compiled;
use portcullis_identity::KeyRingHandle;
use portcullis_openapi::{Contract, Folder};

use crate::config::checked::ContractSource;
use crate::config::{Config, ConfigError, ConfigErrors, Fault};

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
