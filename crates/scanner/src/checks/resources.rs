//! What one caller can make the API spend: pages without end, bodies without end, expressions that never finish.

use std::time::Duration;

use portcullis_engine::{Owasp, Severity};
use serde_json::Value;

use super::Check;
use crate::api::{Call, Danger, Place, Slot};
use crate::finding::{Confidence, Finding, Kind, Sign};
use crate::session::{Outcome, Session, says_failure};
use crate::words;

/// The check.
pub(super) static RESOURCES: Check = Check {
    name: "resources",
    about: "sizes of pages, bodies, lists and heads; expressions that do not finish",
    kinds: &[&PAGE, &BODY, &ITEMS, &HEAD, &REGEX],
    run,
};

static PAGE: Kind = Kind {
    code: "unlimited-page-size",
    title: "A page may be of any size",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Medium,
    fix: "Refuse or cut page sizes above a bound that the database bears.",
    block: "validate: `maximum` on the parameter in the contract",
};

static BODY: Kind = Kind {
    code: "unlimited-body",
    title: "A member of a body may be of any size",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Medium,
    fix: "Bound the body before it is read, and each member by what it is for.",
    block: "limit: body; validate: `maxLength` in the contract",
};

static ITEMS: Kind = Kind {
    code: "unlimited-items",
    title: "A list in a body may be of any length",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Medium,
    fix: "Refuse lists that are longer than anybody needs.",
    block: "validate: `maxItems` in the contract",
};

static HEAD: Kind = Kind {
    code: "unlimited-head",
    title: "Header fields of any size are taken",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Low,
    fix: "Bound the head in the server, to 16 KiB or less.",
    block: "bounds: head",
};

static REGEX: Kind = Kind {
    code: "regex-blow-up",
    title: "A short text keeps a regular expression busy (ReDoS)",
    owasp: Owasp::Api4,
    cwe: 1333,
    severity: Severity::High,
    fix: "Use an engine that runs in linear time, or an expression without nested repetition, and bound the length.",
    block: "validate: a linear-time pattern and `maxLength` in the contract",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    pages(cx)?;
    head(cx)?;
    if !cx.options.read_only {
        expressions(cx)?;
        bodies(cx)?;
        lists(cx)?;
    }
    Ok(())
}

fn pages(cx: &mut Session<'_>) -> Outcome {
    let lists = cx.operations(|op| op.is_get() && op.danger() == Danger::Read);
    for index in lists {
        let operation = cx.operation(index).clone();
        let sizes = operation.params.iter().filter(|p| {
            p.place == Place::Query
                && matches!(
                    words::flat(&p.name).as_str(),
                    "limit"
                        | "pagesize"
                        | "perpage"
                        | "size"
                        | "count"
                        | "top"
                        | "take"
                        | "maxresults"
                        | "first"
                        | "pagelimit"
                )
        });
        for param in sizes.cloned().collect::<Vec<_>>() {
            let actor = cx.first_user();
            let Some(baseline) = cx.baseline(index, actor)? else { continue };
            let slot = Slot { place: Place::Query, name: param.name.clone(), schema: param.schema.clone() };
            let ask = |n: u64| baseline.call.with(&slot, Value::String(n.to_string()));
            let one = cx.call(actor, &ask(1))?;
            let huge = cx.call(actor, &ask(100_000_007))?;
            if !one.response.ok() || !huge.response.ok() {
                continue;
            }
            let (Some(few), Some(many)) = (one.response.json(), huge.response.json()) else { continue };
            let (few_count, many_count) = (items(&few), items(&many));
            let echoed = crate::pool::leaves(&many).iter().any(|(_, v)| v.as_u64() == Some(100_000_007));
            let most = param.schema.get("maximum").and_then(Value::as_u64);
            let works = few_count == 1 && many_count > 1;
            let over = most.is_some_and(|most| many_count as u64 > most);
            if !(works || echoed) {
                continue;
            }
            let confidence = if over
                || works && many_count > 1000
                || echoed && (works || most.is_some())
                || most.is_some() && works
            {
                if over || echoed || many_count > 1000 { Confidence::Confirmed } else { Confidence::Likely }
            } else {
                Confidence::Likely
            };
            let finding = Finding::new(&PAGE, confidence, operation.label(), &[&one, &huge])
                .at(slot.label())
                .shows(if echoed { Sign::Has(1, "100000007".to_owned()) } else { Sign::Differ(0, 1) });
            cx.report(finding.saying(format!("`{}=100000007` is accepted and gives {many_count} items", param.name)).proved(
                match most {
                    Some(most) => format!("400, or a page of at most {most}"),
                    None => "400, or a page cut to a bound".to_owned(),
                },
                if echoed { "the answer itself names the page size that was asked for" } else { "a page of one holds one item, so the parameter works; the huge page was not refused" },
            ));
        }
    }
    Ok(())
}

/// Items of the longest list in an answer.
fn items(answer: &Value) -> usize {
    match answer {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.values().map(items).max().unwrap_or(0),
        _ => 0,
    }
}

fn bodies(cx: &mut Session<'_>) -> Outcome {
    const SIZE: usize = 1 << 20;
    let makers: Vec<_> =
        cx.made.iter().filter(|made| !made.gone && made.call.body.is_some()).cloned().collect();
    let mut tried = 0;
    for made in makers {
        let operation = cx.operation(made.operation).clone();
        if operation.is_register() || cx.has_reported(&BODY, &operation.label()) || tried >= 5 {
            continue;
        }
        let slots = operation.slots(&made.call);
        let Some(slot) = slots.iter().find(|slot| {
            slot.place == Place::Body
                && slot.kind() == "string"
                && crate::values::is_free(slot.key(), &slot.schema)
        }) else {
            continue;
        };
        tried += 1;
        let call = made.call.with(slot, Value::String("a".repeat(SIZE)));
        let exchange = cx.call(made.actor, &call)?;
        if exchange.response.ok() && !says_failure(&exchange.response) {
            let bound = slot.schema.get("maxLength").and_then(Value::as_u64);
            let confidence = if bound.is_some() { Confidence::Confirmed } else { Confidence::Likely };
            let finding = Finding::new(&BODY, confidence, operation.label(), &[&exchange]).at(slot.label());
            cx.report(finding.saying(format!("one mebibyte in {} was accepted", slot.label())).proved(
                bound.map_or_else(
                    || "413 or 400 for a text of that size".to_owned(),
                    |most| format!("400: the contract allows {most} characters"),
                ),
                "the call was answered with success; whether the text is kept whole was not asked",
            ));
        }
    }
    Ok(())
}

/// One of the items that the contract wants, many times over.
fn lists(cx: &mut Session<'_>) -> Outcome {
    const MANY: usize = 1000;
    let mut tried: Vec<usize> = Vec::new();
    for made in cx.made.clone() {
        let operation = cx.operation(made.operation).clone();
        if made.gone || operation.is_register() || tried.contains(&made.operation) {
            continue;
        }
        tried.push(made.operation);
        let Some(body) = made.call.body.as_ref().and_then(Value::as_object) else { continue };
        let list = body.iter().find(|(_, value)| value.as_array().is_some_and(|items| !items.is_empty()));
        let Some((name, items)) = list else { continue };
        let Some(item) = items.get(0) else { continue };
        let bound = operation
            .body_members()
            .iter()
            .find(|(member, _)| member == name)
            .and_then(|(_, schema)| schema.get("maxItems").and_then(Value::as_u64));
        let many = serde_json::Map::from_iter([(name.clone(), Value::Array(vec![item.clone(); MANY]))]);
        let call = made.call.with_members(&many);
        let exchange = cx.call(made.actor, &call)?;
        if !exchange.response.ok() || says_failure(&exchange.response) {
            continue;
        }
        let over = bound.is_some_and(|most| most < MANY as u64);
        let confidence = if over { Confidence::Confirmed } else { Confidence::Likely };
        let finding = Finding::new(&ITEMS, confidence, operation.label(), &[&made.exchange, &exchange]);
        cx.report(
            finding
                .at(format!("body /{name}"))
                .saying(format!("`{name}` with {MANY} items was accepted"))
                .proved(
                    bound.map_or_else(
                        || "400 for a list of that length".to_owned(),
                        |most| format!("400: the contract allows {most} items"),
                    ),
                    "the call was answered with success, like the one with few items",
                ),
        );
    }
    Ok(())
}

/// A field of 60 kB beside a call that works.
fn head(cx: &mut Session<'_>) -> Outcome {
    const SIZE: usize = 60_000;
    let user = cx.first_user();
    let first = cx.baselines.iter().find_map(|((index, actor), baseline)| {
        let baseline = baseline.as_ref().filter(|_| *actor == user && cx.operation(*index).is_get())?;
        Some(baseline.call.clone())
    });
    let Some(call) = first else { return Ok(()) };
    let plain = cx.call(user, &call)?;
    let mut request = cx.request_of(&call);
    request.set_header("X-Pc-Filler", &"a".repeat(SIZE));
    let exchange = cx.send(user, request)?;
    if plain.response.ok() && exchange.response.status == plain.response.status {
        let finding = Finding::new(&HEAD, Confidence::Likely, "", &[&exchange]);
        cx.report(finding.saying(format!("a header field of {SIZE} bytes is taken")).proved(
            "431 or 400",
            "the call with the field is answered like the one without; where the bound lies was not asked",
        ));
    }
    Ok(())
}

/// A name, a text of some length that never matches, and one of that length that does.
type Hostile = (&'static str, fn(usize) -> String, fn(usize) -> String);

/// Texts that make a nested repetition try every way to split them, by what the value is.
fn hostile(name: &str, schema: &Value) -> Vec<Hostile> {
    fn letters(n: usize) -> String {
        format!("{}!", "a".repeat(n))
    }
    fn letters_good(n: usize) -> String {
        "a".repeat(n)
    }
    fn mail_local(n: usize) -> String {
        format!("{}!", "a".repeat(n))
    }
    fn mail_good(n: usize) -> String {
        format!("{}@example.com", "a".repeat(n))
    }
    fn mail_host(n: usize) -> String {
        format!("a@{}!", "a".repeat(n))
    }
    fn mail_dots(n: usize) -> String {
        format!("a@{}!", "a.".repeat(n))
    }
    fn digits(n: usize) -> String {
        format!("{}x", "1".repeat(n))
    }
    fn digits_good(n: usize) -> String {
        "1".repeat(n)
    }
    let mail =
        words::contains(name, &["mail"]) || schema.get("format").and_then(Value::as_str) == Some("email");
    if mail {
        vec![("mail", mail_local, mail_good), ("host", mail_host, mail_good), ("dots", mail_dots, mail_good)]
    } else if words::contains(name, &["phone", "number", "zip", "iban"]) {
        vec![("digits", digits, digits_good)]
    } else if schema.get("pattern").is_some()
        || words::contains(
            name,
            &["url", "name", "host", "path", "regex", "pattern", "search", "query", "filter"],
        )
        || name == "q"
    {
        vec![("letters", letters, letters_good)]
    } else {
        Vec::new()
    }
}

fn expressions(cx: &mut Session<'_>) -> Outcome {
    let operations = cx.operations(|op| op.danger() <= Danger::Write && !op.is_login());
    for index in operations {
        let operation = cx.operation(index).clone();
        let ours = cx.disposables().last().copied();
        let actor = if operation.alters_account() {
            let Some(ours) = ours else { continue };
            ours
        } else {
            ours.unwrap_or_else(|| cx.first_user())
        };
        let mut call = match cx.baseline(index, actor)? {
            Some(baseline) => baseline.call,
            None => cx.compose(index, actor, crate::values::Taste::Marked),
        };
        if operation.alters_account() && operation.path_names().len() == 1 {
            let Some(id) = super::alter::own_id(cx, actor, &operation) else { continue };
            call.path.insert(crate::explore::last_parameter(&operation), id);
        }
        let slots = operation.slots(&call);
        for slot in slots
            .iter()
            .filter(|slot| slot.kind() == "string" && matches!(slot.place, Place::Body | Place::Query))
        {
            for (_, bad, good) in hostile(slot.key(), &slot.schema) {
                if grows(cx, actor, &call, slot, bad, good)? {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Whether the time doubles with every character or two, again and again, and does not for a text that matches.
///
/// A busy machine only ever adds time, here and there. So nothing hangs on one measurement: of several rounds, in which
/// every length and the text that matches take turns, the quickest counts; and a length that was slow by chance does not
/// end the search.
fn grows(
    cx: &mut Session<'_>,
    actor: usize,
    call: &Call,
    slot: &Slot,
    bad: fn(usize) -> String,
    good: fn(usize) -> String,
) -> Outcome<bool> {
    let send = |cx: &mut Session<'_>, text: String| cx.call(actor, &call.with(slot, Value::String(text)));
    let mut floor = FLOOR.max(send(cx, bad(3))?.response.elapsed.min(send(cx, good(28))?.response.elapsed));
    for long in [20, 24, 26, 28, 30] {
        let is_slow = |taken: Duration, floor: Duration| taken > floor * 5 && taken > SLOW;
        let taken = send(cx, bad(long))?.response.elapsed;
        if !is_slow(taken, floor) {
            // Nothing yet at a length where it would show: that is all.
            if long >= 24 && taken < floor * 2 {
                return Ok(false);
            }
            // It is between: perhaps the quiet level was none.
            floor = floor.min(FLOOR.max(send(cx, good(long))?.response.elapsed));
            continue;
        }
        let again = send(cx, bad(long))?.response.elapsed;
        if !is_slow(taken.min(again), floor) {
            continue;
        }
        let mut growth = Growth::default();
        for round in 1..=ROUNDS {
            let texts = [bad(long - 4), bad(long - 2), bad(long), good(long)];
            let answers = texts.into_iter().map(|text| send(cx, text)).collect::<Outcome<Vec<_>>>()?;
            growth.add(&answers.iter().map(|answer| answer.response.elapsed).collect::<Vec<_>>());
            if round > 1 && growth.holds() {
                report_growth(cx, call, slot, &growth, &answers);
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Less than this is no time: a call takes it anyway.
const FLOOR: Duration = Duration::from_millis(4);

/// Less than this is not worth a look.
const SLOW: Duration = Duration::from_millis(60);

/// Rounds in which growth may show.
const ROUNDS: u32 = 5;

/// The quickest answers so far, to three texts that grow by two characters each and to a long one that matches.
#[derive(Debug, Default)]
struct Growth {
    quickest: Option<[Duration; 4]>,
}

impl Growth {
    fn add(&mut self, round: &[Duration]) {
        let mut all = self.quickest.unwrap_or([Duration::MAX; 4]);
        for (known, new) in all.iter_mut().zip(round) {
            *known = (*known).min(*new);
        }
        self.quickest = Some(all);
    }

    fn holds(&self) -> bool {
        let Some([first, second, third, calm]) = self.quickest else { return false };
        second * 2 > first * 3 && third * 2 > second * 3 && third >= calm * 5
    }
}

fn report_growth(
    cx: &mut Session<'_>,
    call: &Call,
    slot: &Slot,
    growth: &Growth,
    evidence: &[std::rc::Rc<crate::http::Exchange>],
) {
    let Some([times @ .., calm]) = growth.quickest else { return };
    let shown: Vec<String> = times.iter().map(|t| format!("{} ms", t.as_millis())).collect();
    let label = cx.operation(call.operation).label();
    let finding = Finding::new(&REGEX, Confidence::Confirmed, label, &evidence.iter().collect::<Vec<_>>())
        .at(slot.label())
        .shows(Sign::Slower(2, 3, 3));
    cx.report(finding.saying(format!("two characters more in {} double the time or worse: {}", slot.label(), shown.join(", "))).proved(
        "time that does not depend on what the text is",
        format!(
            "of several rounds the quickest of each count: the growth holds step after step, and a text of the same length \
             that matches takes {} ms",
            calm.as_millis()
        ),
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rounds: &[[u64; 4]]) -> bool {
        let mut growth = Growth::default();
        for round in rounds {
            growth.add(&round.map(Duration::from_millis));
        }
        growth.holds()
    }

    #[test]
    fn growth_is_seen_through_what_else_the_machine_does() {
        assert!(!holds(&[]));
        assert!(holds(&[[20, 70, 280, 3]]));
        // A hiccup in each round, at another place each time.
        assert!(holds(&[[200, 70, 280, 3], [20, 300, 290, 300], [21, 75, 900, 4]]));
        // Slow, and not for the text.
        assert!(!holds(&[[300, 310, 320, 300], [290, 300, 310, 310]]));
        // Growth with the length, whatever the text is.
        assert!(!holds(&[[20, 70, 280, 270]]));
        // Slow by chance once.
        assert!(!holds(&[[5, 40, 200, 4], [5, 5, 6, 4]]));
    }
}
