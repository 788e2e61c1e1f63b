//! `cargo dev bench detection`: true and false positive rates of the inspection, over public sets that are not part of
//! the project.
//!
//! One in five samples of each set is held out, chosen by a hash of its bytes: what is judged wrongly there is counted
//! and never shown, so that nobody tunes to it. Of libinjection's data all is shown where the library itself judges it as
//! well: every difference is.

mod differential;
mod sets;
mod table;

use std::path::PathBuf;

use portcullis_inspect::{Found, Place, Request, Verdict, inspect, inspect_request};

use crate::{Failure, Outcome};

/// What to measure.
#[derive(Debug)]
pub struct Options {
    /// Folders with sets.
    pub data: Vec<PathBuf>,
    /// Sets of which what was judged wrongly is printed: part of their names.
    pub wrong: Option<String>,
    /// Whether docs/detection.md is written.
    pub write: bool,
}

/// One sample: what it is said to be, and what is inspected.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) set: String,
    /// The class that the set names; empty for ordinary traffic.
    pub(crate) class: String,
    pub(crate) input: Input,
}

/// What is inspected.
#[derive(Debug)]
pub(crate) enum Input {
    Value(Place, Vec<u8>),
    Request(Whole),
}

/// A request, in one piece.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) target: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Sample {
    /// Whether it is held out.
    fn held_out(&self) -> bool {
        let mut hash: u32 = 0x811c_9dc5;
        let mut add = |bytes: &[u8]| {
            for &byte in bytes {
                hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            }
        };
        match &self.input {
            Input::Value(_, value) => add(value),
            Input::Request(whole) => {
                add(&whole.target);
                add(&whole.body);
            }
        }
        (hash ^ hash >> 15).is_multiple_of(5)
    }

    /// What stopped it, and in words why; nothing where it passes.
    fn judge(&self) -> Option<(String, String)> {
        match &self.input {
            Input::Value(place, value) => inspect(value, *place).filter(Verdict::is_attack).map(|verdict| {
                (verdict.class.name().to_owned(), format!("{verdict} [{}]", verdict.evidence))
            }),
            Input::Request(whole) => {
                let headers: Vec<(&str, &[u8])> =
                    whole.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
                let request = Request { target: &whole.target, headers: &headers, body: &whole.body };
                inspect_request(&request).map(|found| match found {
                    Found::Attack { name, verdict } => {
                        (verdict.class.name().to_owned(), format!("{name}: {verdict} [{}]", verdict.evidence))
                    }
                    Found::Malformed(malformed) => (
                        "malformed".to_owned(),
                        format!("expected {} at byte {}", malformed.expected, malformed.at),
                    ),
                })
            }
        }
    }

    /// The sample for a person.
    fn show(&self) -> String {
        let text = match &self.input {
            Input::Value(_, value) => value.clone(),
            Input::Request(whole) => {
                let mut text = whole.target.clone();
                for (name, value) in &whole.headers {
                    if !name.eq_ignore_ascii_case("user-agent")
                        && !name.to_ascii_lowercase().starts_with("accept")
                    {
                        text.extend_from_slice(format!(" |{name}: ").as_bytes());
                        text.extend_from_slice(value);
                    }
                }
                text.extend_from_slice(b" |");
                text.extend_from_slice(&whole.body);
                text
            }
        };
        let shown: String = String::from_utf8_lossy(&text)
            .chars()
            .take(400)
            .map(|c| if c.is_control() { '·' } else { c })
            .collect();
        shown
    }
}

/// What became of the samples of one set and class.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) samples: u64,
    pub(crate) stopped: u64,
    pub(crate) held_samples: u64,
    pub(crate) held_stopped: u64,
}

/// Measures, prints the table and writes the page.
///
/// # Errors
/// If a folder has no set that is known.
pub fn run(options: &Options) -> Outcome {
    portcullis_inspect::prepare();
    let mut samples = Vec::new();
    for folder in &options.data {
        sets::load(folder, &mut samples)?;
    }
    if samples.is_empty() {
        return Err(Failure::new(
            "there is no set in the folders that --data names; docs/detection.md says how they are laid out",
        ));
    }
    let mut table = table::Table::default();
    let started = std::time::Instant::now();
    for sample in &samples {
        let held = sample.held_out();
        let found = sample.judge();
        table.add(sample, held, found.is_some());
        let wrong = found.is_some() == sample.class.is_empty();
        if wrong
            && !held
            && options
                .wrong
                .as_deref()
                .is_some_and(|part| format!("{}/{}", sample.set, sample.class).contains(part))
        {
            match &found {
                Some((class, why)) => {
                    println!("{} FALSE ALARM {class}: {why}\n    {}", sample.set, sample.show());
                }
                None => println!("{}/{} MISSED\n    {}", sample.set, sample.class, sample.show()),
            }
        }
    }
    let elapsed = started.elapsed();
    println!("{}", table.render());
    println!("{} samples in {:.1} s", samples.len(), elapsed.as_secs_f64());
    let differential = differential::render(&samples)?;
    if let Some(text) = &differential {
        println!("{text}");
    }
    if options.write {
        super::write_section("detection.md", "measured", &table.render())?;
        if let Some(text) = &differential {
            super::write_section("detection.md", "differential", text)?;
        }
    }
    Ok(())
}
