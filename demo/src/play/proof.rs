//! What shows that an attack worked. Every condition that is given must hold.

use super::client::Answer;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Conditions on the answers. Those without another word speak of the last answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proof {
    /// Its status is one of these.
    pub status: Vec<u16>,
    /// Its body holds all of these texts.
    pub contains: Vec<String>,
    /// These headers are there, and hold these texts.
    pub header: BTreeMap<String, String>,
    /// These headers are not there.
    pub lacks_header: Vec<String>,
    /// At these JSON pointers are these values.
    pub json: BTreeMap<String, Value>,
    /// At these JSON pointers is something.
    pub present: Vec<String>,
    /// At these JSON pointers are lists with more items than this.
    pub more_items: BTreeMap<String, usize>,
    /// At these JSON pointers are numbers below this.
    pub below: BTreeMap<String, i64>,
    /// Every answer's status is one of these.
    pub each_status: Vec<u16>,
    /// Some answer's status is this.
    pub some_status: Option<u16>,
    /// So many answers came back on one connection, or more.
    pub answers: usize,
}

impl Proof {
    /// Whether all conditions hold. A proof without conditions never holds.
    pub(super) fn holds(&self, answers: &[Answer]) -> bool {
        let Some(last) = answers.last() else { return false };
        let body = last.json().unwrap_or(Value::Null);
        let text = last.text();
        let at = |pointer: &String| body.pointer(pointer);
        self.has_conditions()
            && (self.status.is_empty() || self.status.contains(&last.status))
            && self.contains.iter().all(|part| text.contains(part.as_str()))
            && self
                .header
                .iter()
                .all(|(name, part)| last.header(name).is_some_and(|value| value.contains(part)))
            && self.lacks_header.iter().all(|name| last.header(name).is_none())
            && self.json.iter().all(|(pointer, value)| at(pointer) == Some(value))
            && self.present.iter().all(|pointer| at(pointer).is_some_and(|value| !value.is_null()))
            && self.more_items.iter().all(|(pointer, count)| {
                at(pointer).and_then(Value::as_array).is_some_and(|items| items.len() > *count)
            })
            && self.below.iter().all(|(pointer, limit)| {
                at(pointer).and_then(Value::as_i64).is_some_and(|number| number < *limit)
            })
            && (self.each_status.is_empty()
                || answers.iter().all(|answer| self.each_status.contains(&answer.status)))
            && self.some_status.is_none_or(|status| answers.iter().any(|answer| answer.status == status))
            && last.answers >= self.answers
    }

    fn has_conditions(&self) -> bool {
        let Self { status, contains, header, lacks_header, json, present, .. } = self;
        let Self { more_items, below, each_status, some_status, answers, .. } = self;
        !(status.is_empty()
            && contains.is_empty()
            && header.is_empty()
            && lacks_header.is_empty()
            && json.is_empty()
            && present.is_empty()
            && more_items.is_empty()
            && below.is_empty()
            && each_status.is_empty()
            && some_status.is_none()
            && *answers == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(proof: &str, status: u16, body: &str) -> bool {
        let proof: Proof = serde_json::from_str(proof).unwrap();
        let headers = vec![("server".to_owned(), "shop/1".to_owned())];
        proof.holds(&[Answer { status, headers, body: body.into(), answers: 1 }])
    }

    #[test]
    fn every_condition_counts() {
        let body = r#"{"a":{"b":-5},"items":[1,2,3]}"#;
        for (yes, no) in [
            (r#"{"status":[200,201]}"#, r#"{"status":[204]}"#),
            (r#"{"contains":["items","-5"]}"#, r#"{"contains":["items","+5"]}"#),
            (r#"{"header":{"server":"shop"}}"#, r#"{"header":{"via":""}}"#),
            (r#"{"lacks_header":["via"]}"#, r#"{"lacks_header":["server"]}"#),
            (r#"{"json":{"/a/b":-5}}"#, r#"{"json":{"/a/b":5}}"#),
            (r#"{"present":["/a"]}"#, r#"{"present":["/c"]}"#),
            (r#"{"more_items":{"/items":2}}"#, r#"{"more_items":{"/items":3}}"#),
            (r#"{"below":{"/a/b":0}}"#, r#"{"below":{"/a/b":-5}}"#),
            (r#"{"each_status":[200]}"#, r#"{"each_status":[401]}"#),
            (r#"{"some_status":200}"#, r#"{"some_status":204}"#),
            (r#"{"answers":1}"#, r#"{"answers":2}"#),
        ] {
            assert!(holds(yes, 200, body), "{yes}");
            assert!(!holds(no, 200, body), "{no}");
        }
        assert!(!holds("{}", 200, body), "nothing proves nothing");
    }
}
