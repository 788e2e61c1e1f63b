//! `portcullis sbom`: a lock file as a software bill of materials.

use std::path::PathBuf;

use portcullis_audit::dependencies::{Inventory, sbom};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::commands::audit::dependencies;
use crate::exit::{Exit, Failure, Result};
use crate::{random, term};

/// Write a software bill of materials from a lock file
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The lock file, or another bill to be turned into this form
    lock: PathBuf,
    /// The form
    #[arg(long, default_value = "cyclonedx")]
    format: Form,
    /// The project's name [default: the name of the lock file's folder]
    #[arg(long)]
    name: Option<String>,
}

/// The forms of a bill, both in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// CycloneDX 1.6.
    #[value(name = "cyclonedx")]
    CycloneDx,
    /// SPDX 2.3.
    Spdx,
}

/// Runs it.
///
/// # Errors
/// If the file cannot be read or is of no known kind.
pub(crate) fn run(args: &Args) -> Result {
    let inventory: Inventory = dependencies::read(&args.lock)?;
    for note in inventory.notes() {
        term::note(note);
    }
    let folder = || {
        let path = args.lock.canonicalize().ok()?;
        Some(path.parent()?.file_name()?.to_string_lossy().into_owned())
    };
    let name = args.name.clone().or_else(folder).unwrap_or_else(|| "project".to_owned());
    let serial = uuid()?;
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).map_err(Failure::incomplete)?;
    let now = now.format(&Rfc3339).map_err(Failure::incomplete)?;
    let bill = match args.format {
        Form::CycloneDx => sbom::cyclonedx::write(&inventory, &name, &serial, &now),
        Form::Spdx => sbom::spdx::write(&inventory, &name, &serial, &now),
    };
    term::say(format_args!("{bill:#}"));
    Ok(Exit::Ok)
}

/// A random UUID (RFC 9562 section 5.4).
fn uuid() -> Result<String> {
    let bytes: [u8; 16] = random::bytes()?;
    let value = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (4 << 76) | (2 << 62);
    let hex = format!("{value:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    Ok(format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)))
}
