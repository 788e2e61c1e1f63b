//! What decision points are asked and answer: OpenFGA's HTTP API, and the AuthZEN Authorization API 1.0.

use std::fmt;
use std::sync::Arc;

use portcullis_engine::Answer;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::protection::Fault;

/// What a decision point speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "DecisionProtocol")]
pub(super) enum Protocol {
    /// AuthZEN Authorization API 1.0.
    #[default]
    Authzen,
    /// OpenFGA.
    Openfga,
}

/// May `user` do what `relation` says to `object`?
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) user: String,
    pub(super) relation: Box<str>,
    pub(super) object: String,
    pub(super) context: Arc<Map<String, Value>>,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is `{}` a `{}` of `{}`", self.user, self.relation, self.object)
    }
}

/// A decision point.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Point {
    protocol: Protocol,
    /// Without a slash at its end.
    base: Box<str>,
    model: Option<Box<str>>,
}

impl Point {
    pub(super) fn new(
        protocol: Protocol,
        url: &str,
        store: Option<&str>,
        model: Option<&str>,
    ) -> Result<Point, Fault> {
        let base = url.trim_end_matches('/');
        let base = match (protocol, store) {
            (Protocol::Openfga, Some(store))
                if !store.is_empty() && store.bytes().all(|b| b.is_ascii_alphanumeric()) =>
            {
                format!("{base}/stores/{store}")
            }
            (Protocol::Openfga, _) => {
                return Err(Fault::new(
                    "/store",
                    "expected the id of OpenFGA's store, such as `01HVMMBCMGZNT3SED4Z17ECXCA`",
                ));
            }
            (Protocol::Authzen, None) if model.is_none() => format!("{base}/access/v1"),
            (Protocol::Authzen, _) => {
                return Err(Fault::new(
                    "/store",
                    "`store` and `model` are OpenFGA's; say `protocol: openfga`",
                ));
            }
        };
        Ok(Point { protocol, base: base.into(), model: model.map(Into::into) })
    }

    /// How many questions one request may have: OpenFGA's own bound.
    pub(super) fn at_once(&self) -> usize {
        50
    }

    /// Whether the identifiers of `question` are such to the decision point, and not something of its own: in OpenFGA,
    /// `user:*` is everybody and `group:x#member` a set of users.
    pub(super) fn can_ask(&self, question: &Question) -> bool {
        [&question.user, &question.object].iter().all(|text| {
            let (kind, id) = text.split_once(':').unwrap_or(("", text));
            let plain = |c: char| match self.protocol {
                Protocol::Openfga => !c.is_whitespace() && !c.is_control() && c != '#',
                Protocol::Authzen => !c.is_control(),
            };
            let everybody = self.protocol == Protocol::Openfga && id == "*";
            !kind.is_empty() && !id.is_empty() && !everybody && id.chars().all(plain) && text.len() <= 512
        })
    }

    /// Where and what to ask.
    pub(super) fn request(&self, questions: &[&Question]) -> (String, Vec<u8>) {
        let (path, mut body) = match (self.protocol, questions) {
            (Protocol::Openfga, [one]) => ("check", check(one)),
            (Protocol::Openfga, many) => {
                let checks = many.iter().enumerate().map(|(at, question)| {
                    let mut check = check(question);
                    check.insert("correlation_id".into(), at.to_string().into());
                    Value::Object(check)
                });
                ("batch-check", object([("checks", checks.collect())]))
            }
            (Protocol::Authzen, [one]) => ("evaluation", evaluation(one)),
            (Protocol::Authzen, many) => {
                let all = many.iter().map(|question| Value::Object(evaluation(question)));
                ("evaluations", object([("evaluations", all.collect())]))
            }
        };
        if let Some(model) = &self.model {
            body.insert("authorization_model_id".into(), (**model).into());
        }
        (format!("{}/{path}", self.base), Value::Object(body).to_string().into_bytes())
    }

    /// The answers to so many questions. What is not plainly a yes or a no is none.
    pub(super) fn read(&self, answer: &Answer, questions: usize) -> Result<Vec<bool>, String> {
        if answer.status != http::StatusCode::OK {
            return Err(format!("the decision point answered {}", answer.status.as_u16()));
        }
        let unclear = || "the decision point's answer says neither yes nor no".to_owned();
        let body: Value = serde_json::from_slice(&answer.body).map_err(|_| unclear())?;
        let said = |value: Option<&Value>, name: &str| {
            value.and_then(|value| value.get(name)).and_then(Value::as_bool).ok_or_else(unclear)
        };
        match (self.protocol, questions) {
            (Protocol::Openfga, 1) => Ok(vec![said(Some(&body), "allowed")?]),
            (Protocol::Openfga, many) => {
                let result = body.get("result");
                (0..many).map(|at| said(result.and_then(|all| all.get(at.to_string())), "allowed")).collect()
            }
            (Protocol::Authzen, 1) => Ok(vec![said(Some(&body), "decision")?]),
            (Protocol::Authzen, many) => {
                let all = body.get("evaluations").and_then(Value::as_array).filter(|all| all.len() == many);
                all.ok_or_else(unclear)?.iter().map(|one| said(Some(one), "decision")).collect()
            }
        }
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn check(question: &Question) -> Map<String, Value> {
    let Question { user, relation, object: of, context } = question;
    let mut check = object([("tuple_key", json!({ "user": user, "relation": relation, "object": of }))]);
    if !context.is_empty() {
        check.insert("context".into(), Value::Object((**context).clone()));
    }
    check
}

fn evaluation(question: &Question) -> Map<String, Value> {
    let entity = |text: &str| {
        let (kind, id) = text.split_once(':').unwrap_or(("", text));
        json!({ "type": kind, "id": id })
    };
    let mut evaluation = object([
        ("subject", entity(&question.user)),
        ("action", json!({ "name": question.relation })),
        ("resource", entity(&question.object)),
    ]);
    if !question.context.is_empty() {
        evaluation.insert("context".into(), Value::Object((*question.context).clone()));
    }
    evaluation
}
