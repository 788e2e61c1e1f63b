//! Fills captured values into a step.

use super::client::Sent;
use super::{App, Step};
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest text that a template may make, in bytes.
const LONGEST: usize = 16 * 1024 * 1024;

/// What was captured or handed in.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    /// The step's request, for the repetition `n`.
    pub(super) fn request(&self, step: &Step, n: u32) -> Result<Sent, String> {
        let fill = |text: &str| self.fill(text, n);
        if let Some(raw) = &step.raw {
            let raw = Some(fill(raw)?.into_bytes());
            return Ok(Sent {
                method: String::new(),
                target: String::new(),
                headers: vec![],
                body: vec![],
                raw,
            });
        }
        let mut headers = Vec::new();
        match step.app {
            App::Key => headers.push(("x-api-key".to_owned(), fill("${api_key}")?)),
            App::Pair => {
                headers.push(("x-app-id".to_owned(), fill("${app_id}")?));
                headers.push(("x-app-key".to_owned(), fill("${app_key}")?));
            }
            App::None => {}
        }
        if let Some(name) = &step.acting {
            headers.push(("authorization".to_owned(), format!("Bearer {}", fill(&format!("${{{name}}}"))?)));
        }
        let body = match (&step.json, &step.body, &step.hex) {
            (Some(json), None, None) => {
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
                self.fill_json(json, n)?.to_string().into_bytes()
            }
            (None, Some(text), None) => fill(text)?.into_bytes(),
            (None, None, Some(hex)) => {
                unhex(hex).ok_or_else(|| format!("step `{}`: `hex` must be pairs of hex digits", step.id))?
            }
            (None, None, None) => Vec::new(),
            _ => return Err(format!("step `{}` has more than one of `json`, `body` and `hex`", step.id)),
        };
        for (name, value) in &step.headers {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.clone(), fill(value)?));
        }
        Ok(Sent { method: step.method.clone(), target: fill(&step.path)?, headers, body, raw: None })
    }

    fn fill(&self, text: &str, n: u32) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) =
                after.split_once('}').ok_or_else(|| format!("`${{{after}` has no closing brace"))?;
            filled.push_str(before);
            filled.push_str(&self.value(name, n)?);
            rest = tail;
            if filled.len() > LONGEST {
                return Err("a template makes too long a text".to_owned());
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&self, name: &str, n: u32) -> Result<String, String> {
        if name == "n" {
            return Ok(n.to_string());
        }
        if let Some(width) = name.strip_prefix("n:0").and_then(|width| width.parse::<usize>().ok()) {
            return Ok(format!("{n:0width$}", width = width.min(20)));
        }
        if let Some((text, count)) = name.strip_prefix("repeat:").and_then(|rest| rest.rsplit_once(':')) {
            let count: usize = count.parse().map_err(|_| format!("`{name}` wants a count at the end"))?;
            if text.len().saturating_mul(count) > LONGEST {
                return Err(format!("`{name}` makes too long a text"));
            }
            return Ok(text.repeat(count));
        }
        self.0.get(name).cloned().ok_or_else(|| format!("nothing was captured as `{name}`"))
    }

    fn fill_json(&self, value: &Value, n: u32) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill(text, n)?),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.fill_json(item, n)).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.fill_json(value, n)?)))
                    .collect::<Result<_, String>>()?,
            ),
            plain => plain.clone(),
        })
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_or_refused() {
        let mut variables = Variables::default();
        variables.set("token", "abc".to_owned());
        assert_eq!(variables.fill("x ${token}${n:04} ${repeat:ab:3} $", 7).unwrap(), "x abc0007 ababab $");
        assert!(variables.fill("${missing}", 0).unwrap_err().contains("`missing`"));
        assert!(variables.fill("${token", 0).unwrap_err().contains("closing brace"));
        assert!(variables.fill("${repeat:abc:99999999999}", 0).is_err());
        let filled = variables.fill_json(&serde_json::json!({ "a": ["${token}", 1] }), 0).unwrap();
        assert_eq!(filled, serde_json::json!({ "a": ["abc", 1] }));
    }
}
