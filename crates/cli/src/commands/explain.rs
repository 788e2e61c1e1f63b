//! `portcullis explain`: what a code means, why it is refused and what to do.

use portcullis_engine::Code;

use crate::exit::{Exit, Failure, Result};
use crate::nearest::nearest;
use crate::term::{self, Style, Table, out};

/// What a code means: the attack, why it is refused, what a client and an operator can do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, as it stands in a refusal or in the log; none lists them all
    code: Option<String>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let codes = all();
    match &args.code {
        None if args.json => print_json(&codes),
        None => list(&codes),
        Some(name) => {
            let wanted =
                name.trim().trim_start_matches("urn:portcullis:").to_ascii_lowercase().replace('_', "-");
            match codes.iter().find(|code| code.name == wanted) {
                Some(code) if args.json => print_json(code),
                Some(code) => explain(code),
                None => {
                    let near = nearest(&wanted, codes.iter().map(|code| code.name));
                    let tail = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "`portcullis explain` lists all codes".to_owned(),
                    };
                    return Err(Failure::Usage(format!("no code `{name}`; {tail}")));
                }
            }
        }
    }
    Ok(Exit::Ok)
}

/// Every code that a refusal or a finding can carry, by name.
pub(crate) fn all() -> Vec<&'static Code> {
    let mut codes: Vec<&'static Code> = portcullis_engine::code::CODES.to_vec();
    codes.extend(portcullis_guards::codes());
    codes.sort_by_key(|code| code.name);
    codes.dedup_by_key(|code| code.name);
    codes
}

fn print_json(value: &impl serde::Serialize) {
    term::say(serde_json::to_string_pretty(value).unwrap_or_default());
}

fn list(codes: &[&'static Code]) {
    let mut table = Table::new(&["code", "status", "what happened"]);
    for code in codes {
        table.row(vec![
            (code.name.to_owned(), Some(Style::Bold)),
            (code.status.to_string(), None),
            (code.title.to_owned(), None),
        ]);
    }
    term::print(&table);
    term::say(format_args!("\n{} codes; `portcullis explain CODE` says more of one", codes.len()));
}

fn explain(code: &Code) {
    let rows = [
        ("attack", code.attack),
        ("client", code.client),
        ("operator", code.operator),
        ("owasp", code.owasp.title()),
    ];
    term::say(format_args!("{}: {}", out(Style::Bold, code.name), code.title));
    term::say(format_args!("{:>10}  {}", "status", code.status));
    for (label, text) in rows {
        let mut label = label;
        for line in wrap(text, term::width().min(100).saturating_sub(12)) {
            term::say(format_args!("{:>10}  {line}", out(Style::Dim, format_args!("{label:>10}"))));
            label = "";
        }
    }
    term::say(format_args!("{:>10}  CWE-{}", out(Style::Dim, format_args!("{:>10}", "cwe")), code.cwe));
}

/// Text in lines of at most `width` characters, broken at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if let Some(line) = lines.last_mut() {
            if line.is_empty() {
                line.push_str(word);
                continue;
            }
            if line.chars().count() + 1 + word.chars().count() <= width {
                line.push(' ');
                line.push_str(word);
                continue;
            }
        }
        lines.push(word.to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_says_what_it_must() {
        let codes = all();
        assert!(codes.len() > 30);
        for code in &codes {
            let words = code.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            assert!(words, "{}", code.name);
            for text in [code.title, code.attack, code.client, code.operator] {
                assert!(text.len() >= 10, "{}: {text:?}", code.name);
            }
            assert!((400..600).contains(&code.status) && code.cwe > 0, "{}", code.name);
            assert!(!code.title.ends_with('.'), "{}", code.name);
        }
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut names: Vec<&str> = portcullis_engine::code::CODES.iter().map(|code| code.name).collect();
        names.extend(portcullis_guards::codes().map(|code| code.name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn text_is_wrapped_at_spaces() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("abcdefgh i", 5), ["abcdefgh", "i"]);
    }
}
