//! `portcullis demo`: a weak shop, once bare and once behind the gateway; ordinary users and attackers at both doors.

mod show;

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_demo::play::{self, Credentials, Ending, Outcome, Scenario, Suite};
use portcullis_demo::{ATTACKS, CONTRACT, Mode, ORDINARY};
use portcullis_engine::CredentialKind;
use portcullis_identity::{Pepper, Secret};
use portcullis_store::keys::{KeyRow, KeyStore};
use tokio::net::TcpListener;

use crate::config::written::{Level, LogWritten};
use crate::config::{self, Overrides};
use crate::exit::{Exit, Failure, Result};
use crate::gateway::keys::open_store;
use crate::gateway::{Gateway, make_data_folder};
use crate::random;
use crate::term::{self, Style, out};

/// The gateway's configuration in the demonstration.
const POLICY: &str = include_str!("../../../../../demo/portcullis.yaml");

/// Show a weak shop with and without Portcullis: what attackers get, and what ordinary users notice.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End after the table instead of staying up for your own tries
    #[arg(long)]
    once: bool,
    /// Where the bare shop listens [default: a free port]
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", hide_default_value = true)]
    bare: SocketAddr,
    /// Where Portcullis listens [default: a free port]
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", hide_default_value = true)]
    guarded: SocketAddr,
}

/// The two doors, open.
#[derive(Debug)]
struct Doors {
    bare: SocketAddr,
    guarded: SocketAddr,
    admin: Option<SocketAddr>,
    credentials: Credentials,
}

/// What became of everybody at one door.
#[derive(Debug)]
struct Played {
    ordinary: Vec<Outcome>,
    attacks: Vec<Outcome>,
}

pub(crate) fn run(args: &Args) -> Result {
    super::log_to_stderr(&LogWritten { level: Level::Error, ..LogWritten::default() }, false);
    for address in [args.bare, args.guarded] {
        if !address.ip().is_loopback() {
            let what = format!("`{address}` can be reached from outside; the shop is weak on purpose");
            return Err(Failure::Usage(format!("{what}: choose an address such as 127.0.0.1:4000")));
        }
    }
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::Incomplete(format!("a temporary folder cannot be made: {error}")))?;
    let bare = start_shop(args.bare)?;
    let behind = start_shop(([127, 0, 0, 1], 0).into())?;
    let (gateway, credentials) = start_gateway(folder.path(), behind, args.guarded)?;
    let guarded = *gateway.listen().first().ok_or_else(|| Failure::Incomplete("no listener".into()))?;
    let doors = Doors { bare, guarded, admin: gateway.admin(), credentials };

    let runtime = runtime()?;
    let serving = thread::spawn(move || -> Result<()> {
        let runtime = self::runtime()?;
        runtime.block_on(gateway.serve(std::future::pending()))
    });
    term::say(format_args!(
        "a weak shop on http://{bare}, and its twin behind Portcullis on http://{guarded}\n"
    ));
    let (bare, guarded) =
        runtime.block_on(async { tokio::join!(play_at(&doors, false), play_at(&doors, true)) });
    let (bare, guarded) = (bare?, guarded?);
    show::attacks(&bare.attacks, &guarded.attacks);
    show::ordinary(&bare.ordinary, &guarded.ordinary);
    show::noticed(&folder.path().join("data"));
    show::summary(&bare, &guarded);
    let unharmed = passed(&bare.ordinary) && passed(&guarded.ordinary);
    if args.once {
        return Ok(if unharmed { Exit::Ok } else { Exit::Failed });
    }
    show::try_it(&doors, &folder.path().join("data"));
    runtime.block_on(async {
        let _ = tokio::signal::ctrl_c().await;
    });
    // The gateway lives as long as the program; only its own failure ends it before.
    if serving.is_finished() {
        serving.join().map_err(|_| Failure::Incomplete("the gateway panicked".into()))??;
    }
    term::say("");
    Ok(if unharmed { Exit::Ok } else { Exit::Failed })
}

fn passed(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(|outcome| outcome.ending == Ending::Succeeded)
}

async fn play_at(doors: &Doors, guarded: bool) -> Result<Played> {
    let base = if guarded { doors.guarded } else { doors.bare };
    let read =
        |error: std::io::Error| Failure::Incomplete(format!("the demonstration's data is broken: {error}"));
    let scenario = Scenario::parse(ORDINARY).map_err(read)?;
    let suite = Suite::parse(ATTACKS).map_err(read)?;
    let ordinary = play::play(&scenario.steps, base, &doors.credentials).await;
    let attacks = play::attack(&suite, base, &doors.credentials).await;
    Ok(Played { ordinary, attacks })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Incomplete(format!("a runtime cannot be started: {error}")))
}

/// Starts a shop with fresh data on a thread of its own. Where it listens.
fn start_shop(address: SocketAddr) -> Result<SocketAddr> {
    let failed = |error: std::io::Error| {
        Failure::Incomplete(format!("the shop cannot listen on `{address}`: {error}"))
    };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let runtime = runtime()?;
    thread::Builder::new()
        .name("shop".into())
        .spawn(move || {
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener)?;
                portcullis_demo::serve(listener, Mode::Weak, std::future::pending()).await
            })
        })
        .map_err(failed)?;
    Ok(address)
}

/// Writes the contract and the policy where the gateway reads them, makes keys for the shop's applications, and
/// starts it as `portcullis run` would.
fn start_gateway(folder: &Path, shop: SocketAddr, listen: SocketAddr) -> Result<(Gateway, Credentials)> {
    let written = |error: std::io::Error| Failure::Incomplete(format!("`{}`: {error}", folder.display()));
    std::fs::write(folder.join("openapi.yaml"), CONTRACT).map_err(written)?;
    let file = folder.join("portcullis.yaml");
    std::fs::write(&file, POLICY).map_err(written)?;
    let overrides = Overrides {
        config: Some(file),
        upstream: vec![format!("http://{shop}")],
        listen: vec![listen.to_string()],
        admin: Some("127.0.0.1:0".into()),
        data: Some(folder.join("data")),
        ..Overrides::default()
    };
    let config = config::load(&overrides).map_err(Failure::usage)?;
    let credentials = make_keys(&config.gateway.data)?;
    let gateway = Gateway::start(config, overrides)?;
    Ok((gateway, credentials))
}

/// Keys for the storefront and for a partner shop, as `portcullis keys create` would make them.
fn make_keys(data: &Path) -> Result<Credentials> {
    make_data_folder(data)?;
    let (store, pepper) = open_store(data)?;
    let pepper = Pepper::new(pepper);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let add = |credential: &str, kind: CredentialKind, consumer: &str, secret: &Secret| {
        let row = KeyRow {
            credential: credential.to_owned(),
            consumer: consumer.to_owned(),
            kind,
            digest: pepper.digest(secret.expose()).0,
            scopes: Vec::new(),
            networks: Vec::new(),
            not_before: None,
            expires: None,
            revoked_at: None,
            created_at: now,
            label: "demonstration".to_owned(),
        };
        store.create(&row, now).map_err(Failure::incomplete)
    };
    let api_key = Secret::api_key(&random::bytes()?);
    let app_id = Secret::app_id(&random::bytes()?);
    let app_key = Secret::app_key(&random::bytes()?);
    add("storefront-1", CredentialKind::ApiKey, "storefront", &api_key)?;
    add("partner-1", CredentialKind::AppKey, &app_id, &app_key)?;
    Ok(Credentials { api_key: api_key.expose().to_owned(), app_id, app_key: app_key.expose().to_owned() })
}

/// The heading of a part of the output.
fn heading(text: &str) {
    term::say(out(Style::Bold, text));
}
