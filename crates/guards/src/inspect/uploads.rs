//! Uploaded files: what they are, what is in them, and what a scanner says of them.

use std::time::Duration;

use portcullis_engine::{Cx, Destination, Lookup, LookupFailure, Period, Size, Verdict};
use portcullis_inspect::leaves::{Name, Part};
use portcullis_inspect::upload::{self, Limits, Wrong};
use schemars::JsonSchema;
use serde::Deserialize;

use super::icap::{self, Said, Scanner};
use super::{Found, INSPECT_UPLOAD};
use crate::policies::GuardMode;
use crate::protection::Fault;

/// Files within files.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "InspectArchives")]
pub(super) struct Archives {
    /// Files in an archive at most.
    files: usize,
    /// What an archive may unpack to.
    unpacked: Size,
    /// How many times its own size it may unpack to; up to 1 MiB it always may.
    ratio: u64,
    /// Archives within archives.
    depth: u32,
    /// Archives that are encrypted: nobody can look into them.
    encrypted: GuardMode,
    /// Archives of kinds that are not looked into (7z, RAR, bzip2, xz, zstd).
    opaque: GuardMode,
}

impl Default for Archives {
    fn default() -> Self {
        let Limits { files, unpacked, ratio, depth } = Limits::default();
        Archives {
            files,
            unpacked: Size(unpacked),
            ratio,
            depth,
            encrypted: GuardMode::Enforce,
            opaque: GuardMode::Enforce,
        }
    }
}

/// A scanner for malware.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "InspectIcap")]
pub(super) struct Icap {
    /// Where it is: `icap://127.0.0.1:1344/avscan`.
    url: String,
    /// How long it may take for all files of a call; 10 s where nothing is said.
    timeout: Option<Period>,
}

/// How files are judged.
#[derive(Debug)]
pub(super) struct Uploads {
    mode: GuardMode,
    limits: Limits,
    encrypted: GuardMode,
    opaque: GuardMode,
    scanner: Option<(Scanner, Duration)>,
}

const TIMEOUT: Duration = Duration::from_secs(10);

/// What the answers of a scanner may have beside the files that it sends back.
const ANSWER: u64 = 64 * 1024;

const KEY: &str = "icap";

impl Uploads {
    pub(super) fn of(mode: GuardMode, archives: &Archives, icap: Option<&Icap>) -> Result<Uploads, Fault> {
        let scanner = icap
            .map(|icap| {
                let scanner = Scanner::at(&icap.url).map_err(|why| Fault::new("/icap/url", why))?;
                Ok((scanner, icap.timeout.map_or(TIMEOUT, |period| period.0)))
            })
            .transpose()?;
        Ok(Uploads {
            mode,
            limits: Limits {
                files: archives.files,
                unpacked: archives.unpacked.0,
                ratio: archives.ratio,
                depth: archives.depth,
            },
            encrypted: archives.encrypted,
            opaque: archives.opaque,
            scanner,
        })
    }

    pub(super) fn looks(&self) -> bool {
        self.mode != GuardMode::Off
    }

    /// Judges `files` by themselves, and asks the scanner about them where nothing is wrong with them; a verdict where
    /// that takes a question outside, or got no answer.
    pub(super) fn judge(&self, files: &[Part<'_>], cx: &Cx<'_>, found: &mut Vec<Found>) -> Option<Verdict> {
        for part in files {
            let Some(wrong) = upload::judge(part, &self.limits) else { continue };
            let mode = match wrong {
                Wrong::Encrypted => self.encrypted,
                Wrong::Opaque => self.opaque,
                _ => self.mode,
            };
            // A section that only watches watches all of it.
            let enforced = mode == GuardMode::Enforce && self.mode == GuardMode::Enforce;
            if mode != GuardMode::Off {
                self.find(part, wrong.title(), enforced, found);
            }
        }
        let refused = found.iter().any(|found| found.enforced);
        match &self.scanner {
            Some((scanner, timeout)) if !refused && !files.is_empty() => {
                self.scan(scanner, *timeout, files, cx, found)
            }
            _ => None,
        }
    }

    fn scan(
        &self,
        scanner: &Scanner,
        timeout: Duration,
        files: &[Part<'_>],
        cx: &Cx<'_>,
        found: &mut Vec<Found>,
    ) -> Option<Verdict> {
        let contents: Vec<&[u8]> = files.iter().map(|part| part.content).collect();
        let Some(answer) = cx.answer(KEY) else {
            let whole: usize = contents.iter().map(|content| content.len()).sum();
            return Some(Verdict::from(Lookup {
                purpose: "icap",
                key: KEY.into(),
                share: None,
                destination: Destination::Stream {
                    address: scanner.address.clone(),
                    messages: contents.iter().map(|content| scanner.message(content)).collect(),
                },
                timeout,
                max_response: 2 * whole as u64 + ANSWER * contents.len() as u64,
            }));
        };
        let said = match answer {
            Ok(answer) => icap::read(&answer.body, &contents)
                .map_err(|why| LookupFailure::Unreachable(why.into()).denial("icap")),
            Err(failure) => Err(failure.denial("icap")),
        };
        match said {
            Ok(Said::Clean) => None,
            Ok(Said::Found(at, what)) => {
                if let Some(part) = files.get(at) {
                    let why = format!("a scanner's finding: {what}");
                    self.find(part, &why, self.mode == GuardMode::Enforce, found);
                }
                None
            }
            // Nobody has looked: as bad as if something had been found.
            Err(denial) => (self.mode == GuardMode::Enforce).then(|| denial.into()),
        }
    }

    fn find(&self, part: &Part<'_>, why: &str, enforced: bool, found: &mut Vec<Found>) {
        let name = Name::Plain(part.name);
        found.push(Found { code: &INSPECT_UPLOAD, reason: format!("`{name}`: {why}"), enforced });
    }
}
