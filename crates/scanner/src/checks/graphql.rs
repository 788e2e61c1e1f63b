//! GraphQL: what one call may ask for, and what anybody learns of the schema.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use serde_json::{Value, json};

use super::Check;
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::http::{Exchange, Request};
use crate::session::{ANONYMOUS, Outcome, Session};

/// The check.
pub(super) static GRAPHQL: Check = Check {
    name: "graphql",
    about: "depth, aliases and batches of GraphQL calls, the schema shown to anybody",
    kinds: &[&DEPTH, &ALIASES, &BATCH, &SCHEMA, &HINTS],
    run,
};

static DEPTH: Kind = Kind {
    code: "graphql-unlimited-depth",
    title: "A GraphQL call may be nested without end",
    owasp: Owasp::Api4,
    cwe: 674,
    severity: Severity::Medium,
    fix: "Refuse documents above a depth of ten or so before they are executed.",
    block: "values: the length of documents",
};

static ALIASES: Kind = Kind {
    code: "graphql-unlimited-aliases",
    title: "One GraphQL call may ask for the same field any number of times",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Medium,
    fix: "Count fields and aliases before a document is executed, and refuse what costs too much.",
    block: "values: the length of documents",
};

static BATCH: Kind = Kind {
    code: "graphql-unlimited-batch",
    title: "One request may carry any number of GraphQL calls",
    owasp: Owasp::Api4,
    cwe: 799,
    severity: Severity::Medium,
    fix: "Switch batches off, or bound them: a limit of requests counts each call in them.",
    block: "values: a document is required, and a list has none",
};

static SCHEMA: Kind = Kind {
    code: "graphql-introspection",
    title: "Anybody may read the whole GraphQL schema",
    owasp: Owasp::Api9,
    cwe: 200,
    severity: Severity::Low,
    fix: "Switch introspection off in production, or ask for a credential.",
    block: "nothing: switch it off in the API",
};

static HINTS: Kind = Kind {
    code: "graphql-field-hints",
    title: "Errors of a GraphQL server suggest names of fields",
    owasp: Owasp::Api9,
    cwe: 209,
    severity: Severity::Low,
    fix: "Switch suggestions off: they give the schema away although introspection is off.",
    block: "nothing: switch them off in the API",
};

/// Aliases in one document, and calls in one request.
const MANY: usize = 100;

/// Levels of a document.
const DEEP: usize = 40;

fn run(cx: &mut Session<'_>) -> Outcome {
    let mut paths: Vec<String> = cx
        .api
        .operations
        .iter()
        .filter(|op| {
            op.method == "POST" && op.segments().last().is_some_and(|last| matches!(last, "graphql" | "gql"))
        })
        .map(|op| op.path.clone())
        .collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        served(cx, &path)?;
    }
    Ok(())
}

/// Sends a GraphQL body.
fn ask(cx: &mut Session<'_>, actor: usize, path: &str, body: &Value) -> Outcome<Rc<Exchange>> {
    let mut request = Request::new("POST", &format!("{}{path}", cx.base));
    request.set_header("content-type", "application/json");
    request.body = body.to_string().into_bytes();
    cx.send(actor, request)
}

fn data<'a>(answer: &'a Value, name: &str) -> Option<&'a Value> {
    answer.get("data")?.get(name).filter(|value| !value.is_null())
}

fn served(cx: &mut Session<'_>, path: &str) -> Outcome {
    let user = cx.first_user();
    let label = format!("POST {path}");
    let plain = ask(cx, user, path, &json!({ "query": "{ __typename }" }))?;
    let answers = |exchange: &Exchange, name: &str| {
        exchange.response.ok() && exchange.response.json().is_some_and(|answer| data(&answer, name).is_some())
    };
    if !answers(&plain, "__typename") {
        return Ok(());
    }
    let aliases: String = (0..MANY).map(|index| format!(" a{index}: __typename")).collect();
    let many = ask(cx, user, path, &json!({ "query": format!("{{{aliases} }}") }))?;
    if answers(&many, &format!("a{}", MANY - 1)) {
        let finding = Finding::new(&ALIASES, Confidence::Likely, label.clone(), &[&plain, &many]);
        cx.report(finding.saying(format!("{MANY} aliases of one field in one call are answered")).proved(
            "an error that names the bound",
            "the answer has each of them; whether dearer fields are counted otherwise cannot be seen from here",
        ));
    }
    let batch: Vec<Value> = (0..MANY).map(|_| json!({ "query": "{ __typename }" })).collect();
    let batched = ask(cx, user, path, &Value::Array(batch))?;
    let answered = batched.response.json().and_then(|answer| Some(answer.as_array()?.len()));
    if batched.response.ok() && answered == Some(MANY) {
        let finding = Finding::new(&BATCH, Confidence::Confirmed, label.clone(), &[&plain, &batched]);
        cx.report(finding.saying(format!("a list of {MANY} calls in one request is answered")).proved(
            "400, or a bound",
            format!("the answer is a list of {MANY} results, as many as were asked for"),
        ));
    }
    let told = |exchange: &Exchange| {
        let answer = exchange.response.json()?;
        Some(answer.pointer("/data/__schema/types")?.as_array()?.len())
    };
    let query = json!({ "query": "{ __schema { types { name } } }" });
    let mut nobody = ask(cx, ANONYMOUS, path, &query)?;
    let mut who = "a caller without a credential";
    // Where everybody may register, everybody is whoever did.
    if let (None, Some(stranger)) = (told(&nobody), cx.disposables().first().copied()) {
        nobody = ask(cx, stranger, path, &query)?;
        who = "whoever registers";
    }
    let types = told(&nobody);
    if let Some(types) = types.filter(|types| *types > 0) {
        let finding = Finding::new(&SCHEMA, Confidence::Confirmed, label.clone(), &[&nobody])
            .shows(Sign::Has(0, "\"__schema\"".to_owned()))
            .shows(Sign::Has(0, "\"types\"".to_owned()));
        cx.report(
            finding
                .saying(format!("{who} reads {types} types"))
                .proved("an error: introspection is off", "the answer lists the types of the schema"),
        );
        depth(cx, user, path, &label)?;
    }
    hints(cx, path, &label)
}

/// A document whose levels follow each other in a circle, which the schema's own types allow.
fn depth(cx: &mut Session<'_>, user: usize, path: &str, label: &str) -> Outcome {
    let inner = "fields { type { ".repeat(DEEP / 2);
    let close = " } }".repeat(DEEP / 2);
    // One type without fields: nothing is multiplied, whatever the depth.
    let query = format!("{{ __type(name: \"String\") {{ name {inner}name{close} }} }}");
    let deep = ask(cx, user, path, &json!({ "query": query }))?;
    let taken = deep.response.ok()
        && deep
            .response
            .json()
            .is_some_and(|answer| data(&answer, "__type").is_some() && answer.get("errors").is_none());
    if taken {
        let finding = Finding::new(&DEPTH, Confidence::Confirmed, label, &[&deep])
            .shows(Sign::Lacks(0, "\"errors\"".to_owned()));
        cx.report(finding.saying(format!("a document of {} levels is executed", DEEP + 2)).proved(
            "an error that names the bound",
            "the document, nested far deeper than any client asks, was answered with data and without an error",
        ));
    }
    Ok(())
}

fn hints(cx: &mut Session<'_>, path: &str, label: &str) -> Outcome {
    let wrong = ask(cx, ANONYMOUS, path, &json!({ "query": "{ __typenam }" }))?;
    let text = wrong.response.text();
    if text.contains("Did you mean") && text.contains("__typename") {
        let finding = Finding::new(&HINTS, Confidence::Confirmed, label, &[&wrong])
            .shows(Sign::Has(0, "Did you mean".to_owned()));
        cx.report(finding.saying("the error for a name that is nearly right names the right one").proved(
            "an error without suggestions",
            "a letter was left out, and the answer gives the whole name",
        ));
    }
    Ok(())
}
