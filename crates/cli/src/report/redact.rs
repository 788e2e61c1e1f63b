//! Secrets do not leave: each becomes a mark that names a variable, `«ALICE_TOKEN»`, before anything is written.

use std::borrow::Cow;

use super::{Body, Header, Report};

const OPEN: char = '«';
const CLOSE: char = '»';

/// Shorter secrets would be found everywhere.
const SHORTEST: usize = 4;

impl Report {
    /// Replaces every secret in every text of the report, also where it stands percent-encoded, by its mark.
    pub(super) fn redact(&mut self) {
        let mut secrets: Vec<(String, String)> = Vec::new();
        for secret in &self.secrets {
            if secret.value.len() < SHORTEST {
                continue;
            }
            let mark = format!("{OPEN}{}{CLOSE}", secret.variable);
            let encoded =
                percent_encoding::utf8_percent_encode(&secret.value, percent_encoding::NON_ALPHANUMERIC);
            let encoded = encoded.to_string();
            let escaped = serde_json::to_string(&secret.value).unwrap_or_default();
            let escaped = escaped.trim_matches('"').to_owned();
            for form in [secret.value.clone(), encoded, escaped] {
                if !secrets.iter().any(|(known, _)| *known == form) {
                    secrets.push((form, mark.clone()));
                }
            }
        }
        // A secret that contains another one goes first.
        secrets.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        let clean = |text: &mut String| {
            for (value, mark) in &secrets {
                if let Cow::Owned(replaced) = replaced(text, value, mark) {
                    *text = replaced;
                }
            }
        };
        let clean_rest = |headers: &mut Vec<Header>, body: &mut Option<Body>| {
            headers.iter_mut().for_each(|header| clean(&mut header.value));
            if let Some(body) = body {
                clean(&mut body.text);
            }
        };
        clean(&mut self.target);
        self.incomplete.iter_mut().for_each(clean);
        self.notes.iter_mut().for_each(clean);
        self.facts.iter_mut().for_each(|fact| clean(&mut fact.value));
        self.tables.iter_mut().flat_map(|table| table.rows.iter_mut().flatten()).for_each(clean);
        for item in &mut self.items {
            let texts = [&mut item.title, &mut item.detail, &mut item.fix, &mut item.evidence.proof];
            texts.into_iter().chain(&mut item.evidence.excerpt).for_each(clean);
            for place in &mut item.places {
                place.operation.iter_mut().chain(&mut place.part).for_each(clean);
            }
            for exchange in &mut item.evidence.exchanges {
                clean(&mut exchange.label);
                clean(&mut exchange.expected);
                clean(&mut exchange.request.url);
                clean_rest(&mut exchange.request.headers, &mut exchange.request.body);
                if let Some(response) = &mut exchange.response {
                    clean_rest(&mut response.headers, &mut response.body);
                }
            }
        }
        for item in &mut self.items {
            if let Some(mut reproduction) = item.evidence.reproduction.take() {
                for step in &mut reproduction.steps {
                    clean(&mut step.label);
                    clean(&mut step.request.url);
                    clean_rest(&mut step.request.headers, &mut step.request.body);
                }
                reproduction.signs.iter_mut().flat_map(|sign| &mut sign.test).for_each(clean);
                item.evidence.script = Some(reproduction.script(&format!("{} {}", item.code, item.place())));
            }
        }
        self.secrets.iter_mut().for_each(|secret| secret.value.clear());
    }
}

fn replaced<'t>(text: &'t str, value: &str, mark: &str) -> Cow<'t, str> {
    match text.contains(value) {
        true => Cow::Owned(text.replace(value, mark)),
        false => Cow::Borrowed(text),
    }
}

/// The pieces of a text: what stands in it, and the names of the variables between (`true`).
pub(super) fn pieces(text: &str) -> Vec<(&str, bool)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(open) = rest.get(from..).and_then(|tail| tail.find(OPEN)).map(|at| at + from) {
        let inside = open + OPEN.len_utf8();
        let tail = rest.get(inside..).unwrap_or_default();
        let name = tail.split(CLOSE).next().unwrap_or_default();
        let is_name = tail.len() > name.len()
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if !is_name {
            from = inside;
            continue;
        }
        pieces.push((rest.get(..open).unwrap_or_default(), false));
        pieces.push((name, true));
        rest = tail.get(name.len() + CLOSE.len_utf8()..).unwrap_or_default();
        from = 0;
    }
    pieces.push((rest, false));
    pieces.retain(|(piece, _)| !piece.is_empty());
    pieces
}

/// The variables that the marks of a report name, sorted.
pub(super) fn variables(report: &Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in &report.items {
        for exchange in &item.evidence.exchanges {
            let headers = exchange.request.headers.iter().map(|header| &header.value);
            let texts = headers.chain([&exchange.request.url]);
            for text in texts.chain(exchange.request.body.iter().map(|body| &body.text)) {
                names.extend(pieces(text).into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_owned()));
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}
