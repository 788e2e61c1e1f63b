//! From a checked configuration to an engine; the same for `run`, `config`, `replay` and `demo`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_engine::State;
use portcullis_guards::{CompileError, Compiled, Credentials};
use portcullis_openapi::{Contract, Fetch, FetchError, Folder};

use crate::config::checked::ContractSource;
use crate::config::{Config, ConfigError, ConfigErrors, Fault};

/// Loads the contract and compiles the policies over it.
pub(crate) fn compile(
    config: &Config,
    keys: impl Into<Credentials>,
    state: Arc<State>,
) -> std::result::Result<Compiled, ConfigErrors> {
    compile_watched(config, keys, state).map(|(compiled, _)| compiled)
}

/// As [`compile`]; the second part is every file that it was made of.
pub(crate) fn compile_watched(
    config: &Config,
    keys: impl Into<Credentials>,
    state: Arc<State>,
) -> std::result::Result<(Compiled, Vec<PathBuf>), ConfigErrors> {
    let mut files = config.files.clone();
    let mut contract = None;
    if let Some(source) = &config.gateway.contract {
        let (loaded, parts) = load_contract(config, source)?;
        contract = Some(Arc::new(loaded));
        files.extend(parts);
    }
    let settings = config.gateway.settings.clone();
    let compiled = portcullis_guards::compile(contract, &config.policies, settings, keys, state);
    let compiled = compiled.map_err(|errors| {
        let one = |error: CompileError| config.error_at(&error.pointer, Fault::new(error.message));
        ConfigErrors::new(errors.into_iter().map(one))
    })?;
    Ok((compiled, files))
}

/// The files of a folder, and which of them were read.
struct Watched {
    folder: PathBuf,
    inner: Folder,
    read: RefCell<Vec<PathBuf>>,
}

impl Fetch for Watched {
    fn fetch(&self, uri: &str) -> std::result::Result<Vec<u8>, FetchError> {
        self.read.borrow_mut().push(self.folder.join(uri));
        self.inner.fetch(uri)
    }
}

/// Loads the contract's document and the files that it refers to; and says which those are.
pub(crate) fn load_contract(
    config: &Config,
    source: &ContractSource,
) -> std::result::Result<(Contract, Vec<PathBuf>), ConfigErrors> {
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
    let fetch = Watched { folder: folder.to_owned(), inner: Folder::new(folder), read: RefCell::default() };
    let contract = Contract::load(&name.to_string_lossy(), &fetch, options)
        .map_err(|error| failed(format!("the contract cannot be loaded: {error}")))?;
    Ok((contract, fetch.read.into_inner()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Overrides};
    use crate::gateway::keys::Keys;

    #[test]
    fn files_that_a_contract_refers_to_are_watched() {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("openapi.yaml");
        let document = "openapi: 3.0.3\ninfo: { title: t, version: '1' }\npaths:\n  /a:\n    get:\n      \
                        security: []\n      parameters: [{ $ref: 'parts.yaml#/limit' }]\n      \
                        responses: { '200': { description: ok } }\n";
        std::fs::write(&spec, document).unwrap();
        let part = "limit: { name: limit, in: query, schema: { type: integer } }\n";
        std::fs::write(folder.path().join("parts.yaml"), part).unwrap();
        let overrides = Overrides { spec: Some(spec), upstream_optional: true, ..Overrides::default() };
        let config = config::load(&overrides).unwrap();
        let keys = Keys::none().ring().clone();
        let (_, files) = compile_watched(&config, keys, Arc::new(State::new(64))).unwrap();
        assert!(files.contains(&folder.path().join("parts.yaml")), "{files:?}");
    }
}
