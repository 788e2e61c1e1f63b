//! From a checked configuration to an engine; the same for `run`, `config`, `replay` and `demo`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_engine::State;
use portcullis_guards::{CompileError, Compiled, Credentials};
use portcullis_openapi::{Contract, Fetch, FetchError, Folder};

use crate::config::checked::ContractSource;
use crate::config::{Config, ConfigError, ConfigErrors, Fault};
use crate::gateway::data_keys;
use crate::nearest::nearest;

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
    let settings = config.gateway.settings.clone();
    let failed = |errors: Vec<CompileError>| {
        let one = |error: CompileError| config.error_at(&error.pointer, Fault::new(error.message));
        ConfigErrors::new(errors.into_iter().map(one))
    };
    if let Some(outward) = &config.gateway.egress {
        let mut destinations = BTreeMap::new();
        for (name, (destination, source)) in &outward.destinations {
            let place =
                format!("/egress/destinations/{}/contract", name.replace('~', "~0").replace('/', "~1"));
            let contract = source.as_ref().map(|source| load_contract(config, source, &place)).transpose()?;
            let (contract, parts) = contract.unzip();
            files.extend(parts.into_iter().flatten());
            destinations.insert(name.clone(), (destination.clone(), contract.map(Arc::new)));
        }
        let compiled = portcullis_guards::compile_egress(&outward.egress, &destinations, &settings, &state)
            .map_err(failed)?;
        return Ok((compiled, files));
    }
    let mut contract = None;
    if let Some(source) = &config.gateway.contract {
        let (loaded, parts) = load_contract(config, source, "/contract")?;
        contract = Some(Arc::new(loaded));
        files.extend(parts);
    }
    let mut credentials = keys.into();
    files.extend(data_keys::read(config, &mut credentials.data)?);
    let compiled = portcullis_guards::compile(contract, &config.policies, settings, credentials, state)
        .map_err(failed)?;
    Ok((compiled, files))
}

/// The files of a folder, and which of them were read.
struct Watched {
    inner: Folder,
    read: RefCell<Vec<PathBuf>>,
}

impl Fetch for Watched {
    fn fetch(&self, uri: &str) -> std::result::Result<Vec<u8>, FetchError> {
        self.read.borrow_mut().extend(self.inner.path_of(uri));
        self.inner.fetch(uri)
    }
}

/// Loads a contract's document and the files that it refers to; and says which those are. `place` is the key that
/// names it.
pub(crate) fn load_contract(
    config: &Config,
    source: &ContractSource,
    place: &str,
) -> std::result::Result<(Contract, Vec<PathBuf>), ConfigErrors> {
    let ContractSource { file, pinned, options } = source;
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let failed = |what: String| {
        let fault = Fault::new(what);
        match config.document.as_ref().is_some_and(|document| document.get(place).is_some()) {
            true => config.error_at(place, fault),
            false => ConfigError::whole("--spec", fault.what),
        }
    };
    let Some(name) = file.file_name() else {
        return Err(failed(format!("`{}` is not a file", file.display())).into());
    };
    let mut inner = Folder::new(folder);
    if let Some(pinned) = pinned {
        inner = inner.pinned(pinned);
    }
    let fetch = Watched { inner, read: RefCell::default() };
    let contract = Contract::load(&name.to_string_lossy(), &fetch, options)
        .map_err(|error| failed(format!("the contract cannot be loaded: {error}")))?;
    let idle = |index: &usize| {
        let marked = options.multi_segment.get(*index).map_or("", String::as_str);
        let what = format!("`{marked}` lets no parameter of the contract hold slashes");
        let paths = contract.operations().iter().map(|operation| &*operation.path);
        let hint = match nearest(marked, paths) {
            Some(near) => format!(
                "expected a path of the document with a star at one parameter, which is a segment by itself; is it \
                 `{near}`?"
            ),
            None => "expected a path of the document with a star at one parameter: `/files/{path*}`".into(),
        };
        config.error_at(&format!("/contract/multi_segment/{index}"), Fault::new(what).hint(hint))
    };
    if !contract.idle_marks().is_empty() {
        return Err(ConfigErrors::new(contract.idle_marks().iter().map(idle)));
    }
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

    #[test]
    fn paths_are_read_as_the_configuration_says() {
        let folder = tempfile::tempdir().unwrap();
        let copies = folder.path().join("copies/example.com");
        std::fs::create_dir_all(&copies).unwrap();
        std::fs::write(copies.join("types.yaml"), "P: { type: string, maxLength: 9 }\n").unwrap();
        let document = "openapi: 3.0.3\npaths:\n  /Files/{path}:\n    get:\n      security: []\n      responses: {}\n      \
                        parameters: [{ name: path, in: path, required: true, schema: { $ref: 'https://example.com/types.yaml#/P' } }]\n";
        std::fs::write(folder.path().join("openapi.yaml"), document).unwrap();
        let contract = |settings: &str| {
            let text = format!("contract: {{ file: openapi.yaml, {settings} }}\n");
            let overrides = Overrides { upstream_optional: true, ..Overrides::default() };
            let config = config::load_text("portcullis.yaml", &text, folder.path(), &overrides).unwrap();
            load_contract(&config, config.gateway.contract.as_ref().unwrap(), "/contract")
        };
        let (plain, _) = contract("base_paths: ['']").unwrap();
        assert_eq!(plain.operations()[0].unenforced.len(), 1, "the copy is not where it is looked for");
        let (read, files) = contract(
            "pinned: copies, multi_segment: ['/Files/{path*}'], ignore_case: true, ignore_trailing_slash: true",
        )
        .unwrap();
        assert!(read.operations()[0].unenforced.is_empty());
        assert!(files.contains(&copies.join("types.yaml")), "{files:?}");
        for (path, strictly) in
            [("/Files/a", true), ("/Files/a/b", false), ("/files/a", false), ("/Files/a/", false)]
        {
            let found = |contract: &Contract| {
                !matches!(contract.route("GET", path, None), portcullis_openapi::Route::NotFound)
            };
            assert!(found(&read), "{path}");
            assert_eq!(found(&plain), strictly, "{path}");
        }
        for wrong in ["/Files/{path}", "/File/{path*}", "/Files/{other*}"] {
            let error = contract(&format!("multi_segment: ['{wrong}']")).unwrap_err().to_string();
            assert!(error.contains("portcullis.yaml:1:") && error.contains(wrong), "{error}");
            assert!(error.contains("/Files/{path}"), "{error}");
        }
    }
}
