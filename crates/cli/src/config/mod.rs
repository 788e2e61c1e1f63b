//! Configuration: what a person wrote in a file and on the command line, checked before anything is done.

pub(crate) mod checked;
pub(crate) mod de;
pub(crate) mod egress;
mod report;
pub(crate) mod scan;
mod shape;
pub(crate) mod substitute;
pub(crate) mod written;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use portcullis_guards::{CompileError, Policies};
use portcullis_openapi::source::{Document, Kind, Limits, Node};
use serde_json::Value;

pub(crate) use checked::Gateway;
pub(crate) use de::Fault;
pub(crate) use report::{ConfigError, ConfigErrors};

use crate::files;
use checked::{ContractSource, Wrong};
use written::{AdminWritten, Written};

/// Most bytes of a configuration: what is larger is something else.
pub(crate) const MAX_BYTES: u64 = 8 << 20;

/// The file that is read when nothing else is said and it is there.
pub(crate) const DEFAULT_FILE: &str = "portcullis.yaml";

/// The data folder that a command over keys or events is about.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DataFolder {
    /// Folder of the event log and the keys [default: what the configuration says, or .portcullis]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file that names the folder [default: portcullis.yaml]
    #[arg(long, short, global = true, value_name = "FILE", conflicts_with = "data")]
    config: Option<PathBuf>,
}

impl DataFolder {
    /// The folder. A configuration that cannot be read is an error: its keys would go elsewhere.
    pub(crate) fn path(&self) -> Result<PathBuf, ConfigErrors> {
        if let Some(data) = &self.data {
            return Ok(data.clone());
        }
        let file = match &self.config {
            Some(file) => file.clone(),
            None if Path::new(DEFAULT_FILE).exists() => DEFAULT_FILE.into(),
            None => return Ok(checked::DEFAULT_DATA.into()),
        };
        let overrides = Overrides { config: Some(file), upstream_optional: true, ..Overrides::default() };
        load(&overrides).map(|config| config.gateway.data)
    }
}

/// What the command line says about the gateway; it goes before what the file says.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Overrides {
    /// Configuration file [default: portcullis.yaml, where neither --spec nor --upstream is given]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// OpenAPI document of the API
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,
    /// Where the API is, such as http://127.0.0.1:3000; several for several instances
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Vec<String>,
    /// Where clients connect [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,
    /// Where metrics and health are read, or `off` [default: 127.0.0.1:9600]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,
    /// Folder of the event log and the keys [default: .portcullis]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Worker threads; 0 means one for each core
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// Guards refuse nothing and record what they would have; ambiguous HTTP is refused all the same
    #[arg(long)]
    pub(crate) monitor: bool,
    /// Whether it does not matter where the API is.
    #[arg(skip)]
    pub(crate) upstream_optional: bool,
    /// Whether it is about the section `egress` and the proxy that it describes.
    #[arg(skip)]
    pub(crate) egress: bool,
    /// Whether it is about the section `scan`: only then are its variables read.
    #[arg(skip)]
    pub(crate) scan: bool,
}

/// A configuration that was read and checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// The gateway's own settings.
    pub(crate) gateway: Gateway,
    /// What the guards are told.
    pub(crate) policies: Policies,
    /// The file, where there was one; errors found later point into it.
    pub(crate) document: Option<Document>,
    /// Files that it was made of, the contract and the certificates among them.
    pub(crate) files: Vec<PathBuf>,
    /// What relative paths start from.
    pub(crate) folder: PathBuf,
    /// What is scanned, where the file says so.
    pub(crate) scan: Option<scan::ScanWritten>,
}

impl Config {
    /// The file's path, where there was one.
    pub(crate) fn file(&self) -> Option<&str> {
        self.document.as_ref().map(Document::name)
    }

    /// An error found after reading, at the node that `pointer` names, or at the nearest one above that is there.
    pub(crate) fn error_at(&self, pointer: &str, fault: Fault) -> ConfigError {
        match &self.document {
            Some(document) => {
                let error = at_pointer(document, pointer, fault.clone());
                // What has no place of its own is about what the contract says, or leaves out.
                match error.line() {
                    None => at_pointer(document, "/contract", fault),
                    Some(_) => error,
                }
            }
            None => {
                let error = ConfigError::whole("command line", fault.what);
                match fault.hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
        }
    }
}

/// Reads the configuration that `overrides` name, and checks it.
pub(crate) fn load(overrides: &Overrides) -> Result<Config, ConfigErrors> {
    load_with(overrides, &|name| std::env::var(name).ok())
}

/// As [`load`], with an environment of the caller's.
pub(crate) fn load_with(
    overrides: &Overrides,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigErrors> {
    let implied = overrides.spec.is_none() && overrides.upstream.is_empty();
    let file = match &overrides.config {
        Some(file) => Some(file.clone()),
        None if implied && Path::new(DEFAULT_FILE).exists() => Some(DEFAULT_FILE.into()),
        None => None,
    };
    let Some(file) = file else {
        let (written, policies) = (Written::default(), Policies::zero_config());
        return finish(written, policies, None, Path::new(""), Vec::new(), overrides);
    };
    let name = file.display().to_string();
    let bytes = files::read(&file, MAX_BYTES).map_err(|error| {
        let what = ConfigError::whole(&name, format!("the configuration cannot be read: {error}"));
        match error.kind() {
            io::ErrorKind::NotFound => {
                what.hint("`portcullis init` writes one; or give --spec and --upstream instead")
            }
            _ => what,
        }
    })?;
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let (document, written, policies) = parse(&name, &bytes, &folder, variable, overrides.scan)?;
    finish(written, policies, Some(document), &folder, vec![file], overrides)
}

/// Reads a configuration that is not on disk. Relative paths start from `folder`.
#[cfg(test)]
pub(crate) fn load_text(
    name: &str,
    text: &str,
    folder: &Path,
    overrides: &Overrides,
) -> Result<Config, ConfigErrors> {
    let (document, written, policies) =
        parse(name, text.as_bytes(), folder, &|name| std::env::var(name).ok(), overrides.scan)?;
    finish(written, policies, Some(document), folder, Vec::new(), overrides)
}

fn parse(
    name: &str,
    bytes: &[u8],
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    scanning: bool,
) -> Result<(Document, Written, Policies), ConfigErrors> {
    let limits = Limits { bytes: MAX_BYTES as usize, depth: 64, nodes: 1_000_000, aliased_nodes: 10_000 };
    let document = Document::parse_with(name, bytes, limits).map_err(|error| match error.location {
        Some(at) => ConfigError::whole(format!("{name}:{at}"), error.what),
        None => ConfigError::whole(name, error.what),
    })?;
    let (written, guards) =
        read(&document, folder, variable, scanning).map_err(|fault| ConfigError::new(&document, fault))?;
    let policies = Policies::from_value(&guards).map_err(|errors| {
        let one = |error: CompileError| at_pointer(&document, &error.pointer, fault(&error));
        ConfigErrors::new(errors.into_iter().map(one))
    })?;
    Ok((document, written, policies))
}

fn read(
    document: &Document,
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    scanning: bool,
) -> Result<(Written, Value), Fault> {
    if let Some(twice) = document.duplicates().first() {
        let first = document.locate(twice.first.start).line;
        let what = format!("the key `{}` stands here a second time", twice.key);
        return Err(
            Fault::at(twice.second, what).hint(format!("it was on line {first} already; keep one of them"))
        );
    }
    let mut root = document.root().clone();
    if root.is_null() {
        root.kind = Kind::Object(Vec::new());
    }
    let mut substituted = de::Substituted::new();
    let source = substitute::Source { variable, folder };
    if let Kind::Object(members) = &mut root.kind {
        // A gateway starts without the passwords of those who test it.
        for member in members.iter_mut().filter(|member| scanning || &*member.key != "scan") {
            substitute::substitute(&mut member.value, &source, &mut substituted)?;
        }
    }
    shape::write_out(&mut root);
    let (own, guards) = split(&root)?;
    let written = de::from_node(&own, &substituted)?;
    Ok((written, de::to_json(&guards, document, &substituted)))
}

/// The root mapping in two: the gateway's own sections, and those of the guards.
fn split(root: &Node) -> Result<(Node, Node), Fault> {
    let Kind::Object(members) = &root.kind else {
        let found = root.type_name();
        return Err(Fault::at(root.span, format!("expected a mapping of settings, found {found}")));
    };
    let own_keys = own_keys();
    let guard_keys: Vec<&str> = Policies::keys().collect();
    let (mut own, mut guards) = (Vec::new(), Vec::new());
    for member in members {
        if own_keys.iter().any(|key| **key == *member.key) {
            own.push(member.clone());
        } else if guard_keys.contains(&&*member.key) {
            guards.push(member.clone());
        } else {
            let known = own_keys.iter().map(String::as_str).chain(guard_keys.iter().copied());
            let mut fault = Fault::unknown("key", &member.key, known);
            fault.span = Some(member.key_span);
            return Err(fault);
        }
    }
    let node = |members| Node { kind: Kind::Object(members), span: root.span };
    Ok((node(own), node(guards)))
}

/// The gateway's own sections, as their schema has them.
fn own_keys() -> Vec<String> {
    let schema = schemars::schema_for!(Written);
    let properties = schema.get("properties").and_then(serde_json::Value::as_object);
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

fn finish(
    mut written: Written,
    mut policies: Policies,
    document: Option<Document>,
    folder: &Path,
    mut files: Vec<PathBuf>,
    overrides: &Overrides,
) -> Result<Config, ConfigErrors> {
    let scan = written.scan.take().map(|scan| scan.in_folder(folder));
    let outward = overrides.egress.then(|| written.turn_outward(folder)).transpose();
    override_written(&mut written, overrides);
    if overrides.monitor {
        policies.mode = portcullis_engine::Mode::Monitor;
    }
    policies.bounds = written.bounds;
    let wrong = |Wrong { pointer, fault }: Wrong| match &document {
        Some(document) => at_pointer(document, &pointer, fault),
        None => {
            let mut error = ConfigError::whole(flag_of(&pointer), fault.what);
            error.hint = fault.hint;
            error
        }
    };
    let mut outward = outward.map_err(&wrong)?;
    let mut gateway = checked::check(written, folder).map_err(&wrong)?;
    if let Some(outward) = &mut outward {
        outward.check(gateway.proxy.listen.iter().map(|listen| listen.address)).map_err(&wrong)?;
        gateway.proxy.forward_proxy = true;
        if overrides.monitor {
            outward.egress.mode = portcullis_engine::Mode::Monitor;
        }
        let contracts = outward.destinations.values().filter_map(|(_, contract)| contract.as_ref());
        files.extend(contracts.map(|contract| contract.file.clone()));
    }
    gateway.egress = outward;
    // Paths on the command line start from where it was typed.
    if let Some(data) = &overrides.data {
        gateway.data.clone_from(data);
    }
    if let Some(spec) = &overrides.spec {
        let (pinned, options) =
            gateway.contract.take().map(|contract| (contract.pinned, contract.options)).unwrap_or_default();
        gateway.contract = Some(ContractSource { file: spec.clone(), pinned, options });
    }
    if gateway.proxy.upstream.origins.is_empty() && !overrides.upstream_optional && !overrides.egress {
        let place = document.as_ref().map_or("command line", Document::name);
        return Err(ConfigError::whole(place, "no upstream is named: where is the API?")
            .hint("give `--upstream http://127.0.0.1:3000`, or `upstream:` in the file")
            .into());
    }
    files.extend(gateway.contract.iter().map(|contract| contract.file.clone()));
    if let Some(tls) = &gateway.proxy.tls {
        files.extend([tls.certificate.clone(), tls.key.clone()]);
        files.extend(tls.client_ca.iter().chain(&tls.crl).cloned());
    }
    files.extend(gateway.proxy.upstream.ca.clone());
    Ok(Config { gateway, policies, document, files, folder: folder.to_owned(), scan })
}

/// What is wrong with what a guard was told. Where keys are named, one may have been written down by mistake.
fn fault(error: &CompileError) -> Fault {
    Fault { secret: error.pointer.starts_with("/data_keys"), ..Fault::new(error.message.clone()) }
}

fn override_written(written: &mut Written, overrides: &Overrides) {
    if !overrides.listen.is_empty() {
        let file = written.listen.as_deref().unwrap_or_default();
        let tls = file.iter().find_map(|one| one.tls.clone());
        let proxy_protocol = file.iter().any(|one| one.proxy_protocol);
        let one = |address: &String| written::ListenWritten {
            address: address.clone(),
            tls: tls.clone(),
            proxy_protocol,
        };
        written.listen = Some(overrides.listen.iter().map(one).collect());
    }
    if !overrides.upstream.is_empty() {
        let upstream = written.upstream.get_or_insert_default();
        let one = |url: &String| portcullis_proxy::OriginConfig { url: url.clone(), weight: 1 };
        upstream.origins = overrides.upstream.iter().map(one).collect();
    }
    if let Some(admin) = &overrides.admin {
        let token = written.admin.take().and_then(|admin| admin.token);
        written.admin = Some(AdminWritten { listen: admin.clone(), token });
    }
    if let Some(workers) = overrides.workers {
        written.workers = workers;
    }
}

/// The flag that a value came from, where there is no file.
fn flag_of(pointer: &str) -> String {
    let section = pointer.trim_start_matches('/').split('/').next().unwrap_or_default();
    format!("--{section}")
}

fn at_pointer(document: &Document, pointer: &str, mut fault: Fault) -> ConfigError {
    // `upstream` may be the list of origins itself.
    let listed = document.get("/upstream").and_then(Node::as_array).is_some();
    let direct =
        pointer.strip_prefix("/upstream/origins/").filter(|_| listed).map(|rest| format!("/upstream/{rest}"));
    let mut pointer = direct.as_deref().unwrap_or(pointer);
    loop {
        let (above, key) = pointer.rsplit_once('/').unwrap_or_default();
        let key = key.replace("~1", "/").replace("~0", "~");
        let members = document.get(above).and_then(Node::as_object).unwrap_or_default();
        let member = members.iter().find(|member| *member.key == *key);
        if let Some(member) =
            member.filter(|member| fault.what.starts_with("unknown key") || member.value.is_null())
        {
            fault.span.get_or_insert(member.key_span);
            break;
        }
        if let Some(node) = document.get(pointer)
            && !pointer.is_empty()
        {
            fault.span.get_or_insert(node.span);
            break;
        }
        // What a short form left out is shown at the short form.
        match pointer.rsplit_once('/') {
            Some((above, _)) => pointer = above,
            None => break,
        }
    }
    ConfigError::new(document, fault)
}
