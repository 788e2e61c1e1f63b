//! Short forms of the configuration file, written out: an address where a mapping is meant, one where a list is.

use portcullis_openapi::source::{Kind, Member, Node};

/// Writes out the short forms in the root mapping of a configuration file.
pub(crate) fn write_out(root: &mut Node) {
    let Kind::Object(members) = &mut root.kind else { return };
    for member in members {
        let value = &mut member.value;
        match &*member.key {
            "listen" => {
                listed(value);
                each(value, |item| keyed(item, "address"));
            }
            "admin" => keyed(value, "listen"),
            "events" => {
                truth(value);
                keyed(value, "keep");
            }
            "contract" => keyed(value, "file"),
            "upstream" => upstream(value),
            "scan" => scan(value),
            _ => {}
        }
    }
}

fn upstream(value: &mut Node) {
    if matches!(value.kind, Kind::String(_) | Kind::Array(_)) {
        listed(value);
        wrap(value, "origins");
    }
    let Kind::Object(members) = &mut value.kind else { return };
    for member in members.iter_mut().filter(|member| &*member.key == "origins") {
        listed(&mut member.value);
        each(&mut member.value, |item| keyed(item, "url"));
    }
}

fn scan(value: &mut Node) {
    let Kind::Object(members) = &mut value.kind else { return };
    members.iter_mut().filter(|member| &*member.key == "spec").for_each(|member| listed(&mut member.value));
}

/// Puts a node that is no list into one.
fn listed(node: &mut Node) {
    if !matches!(node.kind, Kind::Array(_) | Kind::Null) {
        let inner = node.clone();
        node.kind = Kind::Array(vec![inner]);
    }
}

/// Reads `off` and `on` as what they mean.
fn truth(node: &mut Node) {
    if let Kind::String(text) = &node.kind
        && let Some(on) = [("off", false), ("on", true)].iter().find(|(word, _)| **word == **text)
    {
        node.kind = Kind::Bool(on.1);
    }
}

/// Puts a scalar into a mapping, under `key`.
fn keyed(node: &mut Node, key: &str) {
    if !matches!(node.kind, Kind::Array(_) | Kind::Object(_) | Kind::Null) {
        wrap(node, key);
    }
}

fn wrap(node: &mut Node, key: &str) {
    let value = node.clone();
    node.kind = Kind::Object(vec![Member { key: key.into(), key_span: node.span, value }]);
}

fn each(node: &mut Node, change: impl Fn(&mut Node)) {
    if let Kind::Array(items) = &mut node.kind {
        items.iter_mut().for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_openapi::source::Document;
    use serde_json::json;

    #[test]
    fn short_forms_become_long_ones() {
        let written = |text: &str| {
            let mut root = Document::parse("t", text.as_bytes()).unwrap().root().clone();
            write_out(&mut root);
            root.to_json()
        };
        let long = json!({
            "listen": [{"address": "a:1"}],
            "upstream": {"origins": [{"url": "http://b"}]},
            "contract": {"file": "c.yaml"},
            "admin": {"listen": "d:2"},
        });
        assert_eq!(written("{listen: 'a:1', upstream: 'http://b', contract: c.yaml, admin: 'd:2'}"), long);
        assert_eq!(
            written(
                "{listen: ['a:1'], upstream: ['http://b'], contract: {file: c.yaml}, admin: {listen: 'd:2'}}"
            ),
            long
        );
        for (text, keep) in
            [("off", json!(false)), ("on", json!(true)), ("false", json!(false)), ("7", json!(7))]
        {
            assert_eq!(written(&format!("events: {text}")), json!({"events": {"keep": keep}}));
        }
        assert_eq!(written("scan: {spec: a.yaml}"), json!({"scan": {"spec": ["a.yaml"]}}));
        assert_eq!(written("upstream: {origins: 'http://b'}"), json!({"upstream": long["upstream"]}));
        assert_eq!(written("{listen: null, upstream: 3}")["listen"], json!(null));
    }
}
