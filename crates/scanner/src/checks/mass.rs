//! Mass assignment: members that no client should set, set by one, and read back.

use std::rc::Rc;

use portcullis_engine::{Owasp, Severity};
use serde_json::{Map, Value, json};

use super::Check;
use crate::api::{Call, Danger, text};
use crate::explore::last_parameter;
use crate::finding::{Confidence, Finding, Kind};
use crate::http::Exchange;
use crate::session::{Outcome, Session, View, noun_before, says_failure};
use crate::words;

/// The check.
pub(super) static MASS: Check = Check {
    name: "mass-assignment",
    about: "members that no client should set",
    kinds: &[&PRIVILEGE, &MEMBER],
    run,
};

static PRIVILEGE: Kind = Kind {
    code: "mass-assignment-privilege",
    title: "A user gives itself rights or money by an extra member",
    owasp: Owasp::Api3,
    cwe: 915,
    severity: Severity::High,
    fix: "Copy the members that a client may set one by one; never bind a body to a stored object.",
    block: "validate: `additionalProperties: false` in the contract",
};

static MEMBER: Kind = Kind {
    code: "mass-assignment",
    title: "A member that the server owns is taken from the body",
    owasp: Owasp::Api3,
    cwe: 915,
    severity: Severity::Medium,
    fix: "Copy the members that a client may set one by one; never bind a body to a stored object.",
    block: "validate: `additionalProperties: false` in the contract",
};

fn run(cx: &mut Session<'_>) -> Outcome {
    if cx.options.read_only {
        return Ok(());
    }
    registration(cx)?;
    profiles(cx)?;
    objects(cx)
}

/// Names of what a server alone decides.
fn is_owned_by_server(name: &str) -> bool {
    is_privilege(name)
        || words::has(
            name,
            &[
                "status", "state", "verified", "approved", "owner", "author", "price", "total", "discount",
                "rate", "paid", "active", "enabled", "frozen", "locked", "limit", "created", "points",
                "rank", "level", "score",
            ],
        )
        || words::contains(name, &["totalcents", "pricecents", "exchangerate", "ownerid", "userid"])
}

fn is_privilege(name: &str) -> bool {
    words::contains(
        name,
        &["admin", "superuser", "isstaff", "permission", "privilege", "credit", "balance", "wallet"],
    ) || words::has(
        name,
        &["role", "roles", "staff", "moderator", "scopes", "tier", "plan", "premium", "vip"],
    )
}

/// Whether a member that a document leaves out is surely no client's: rights, money, owners, approvals. A status may be
/// set by clients as well, and only the document forgot it.
fn is_surely_owned(name: &str) -> bool {
    is_privilege(name)
        || words::has(
            name,
            &[
                "verified", "approved", "owner", "author", "price", "total", "discount", "rate", "paid",
                "points",
            ],
        )
        || words::contains(name, &["totalcents", "pricecents", "exchangerate", "ownerid", "userid"])
}

/// Another value of the same type that means more.
fn raised(name: &str, value: &Value, marker: &str) -> Option<Value> {
    Some(match value {
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!(whole.saturating_add(7331)),
            None => json!(number.as_f64()? + 7331.5),
        },
        Value::String(current) if is_role(name) => json!(in_case_of(current, "admin")),
        Value::String(text) if text.parse::<f64>().is_ok() => json!("7331"),
        Value::String(_) => json!(marker),
        _ => return None,
    })
}

pub(super) fn is_role(name: &str) -> bool {
    words::has(name, &["role", "roles"])
}

/// A word written as another one is: in small letters, with a capital, or in capitals.
fn in_case_of(model: &str, word: &str) -> String {
    let mut letters = model.chars().filter(|c| c.is_alphabetic());
    match (letters.next().is_some_and(char::is_uppercase), letters.any(char::is_lowercase)) {
        (true, true) => {
            word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect()
        }
        (true, false) => word.to_uppercase(),
        _ => word.to_owned(),
    }
}

/// Roles that may mean more than one's own: those that the document or an answer names, then the usual words.
pub(super) fn roles(cx: &Session<'_>, current: &str) -> Vec<Value> {
    let mut found: Vec<String> = Vec::new();
    for operation in &cx.api.operations {
        for (_, schema) in operation.body_members().into_iter().filter(|(name, _)| is_role(name)) {
            let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
            found.extend(listed.chain(schema.get("example")).filter_map(Value::as_str).map(str::to_owned));
        }
    }
    found.extend(cx.pool.values("role"));
    let usual = ["admin", "administrator", "manager", "employee", "staff"];
    found.extend(usual.iter().map(|word| in_case_of(current, word)));
    let mut known = std::collections::BTreeSet::from([current.to_owned()]);
    found.retain(|role| known.insert(role.clone()));
    found.sort_by_key(|role| !words::contains(role, &["admin", "root", "super", "owner"]));
    found.truncate(6);
    found.into_iter().map(Value::String).collect()
}

/// What is sent, one after the other, until something is taken: all additions at once; then each alone, since one
/// member too many may have the call refused; a role in every word that may be one.
fn attempts(
    cx: &Session<'_>,
    extra: &Map<String, Value>,
    object: &Map<String, Value>,
) -> Vec<Map<String, Value>> {
    let mut attempts = vec![extra.clone()];
    for (name, value) in extra {
        if is_role(name) && value.is_string() {
            let current = object.get(name).map(text).unwrap_or_default();
            let each = roles(cx, &current).into_iter();
            attempts.extend(each.map(|role| Map::from_iter([(name.clone(), role)])));
        }
    }
    let mut others: Vec<_> =
        extra.iter().filter(|(name, value)| !(is_role(name) && value.is_string())).collect();
    others.sort_by_key(|(name, _)| (!is_privilege(name), !object.contains_key(*name)));
    let alone = others.into_iter().take(5);
    attempts.extend(alone.map(|(name, value)| Map::from_iter([(name.clone(), value.clone())])));
    attempts.dedup();
    attempts
}

/// Whether a stored value is the one that was sent.
fn same(stored: &Value, sent: &Value) -> bool {
    let number =
        |value: &Value| value.as_f64().or_else(|| value.as_str().and_then(|t| t.parse::<f64>().ok()));
    let truth = |value: &Value| {
        value.as_bool().or_else(|| value.as_i64().and_then(|n| (n == 0 || n == 1).then_some(n == 1)))
    };
    stored == sent
        || number(stored).is_some_and(|a| number(sent).is_some_and(|b| (a - b).abs() < 0.01))
        || (sent.is_boolean() && truth(stored) == sent.as_bool())
}

/// What is tried where nothing is known of the object.
fn usual() -> Map<String, Value> {
    let pairs = [
        ("admin", json!(true)),
        ("isAdmin", json!(true)),
        ("is_admin", json!(true)),
        ("role", json!("admin")),
        ("is_staff", json!(true)),
        ("balance", json!(7331)),
        ("credit", json!(7331)),
        ("verified", json!(true)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Two registrations, one with members that give rights, and what the API shows of both.
fn registration(cx: &mut Session<'_>) -> Outcome {
    let Some(control) = cx.disposables().first().copied() else { return Ok(()) };
    let Some(name) = cx.actor(control).username.clone() else { return Ok(()) };
    let Some(made) =
        cx.made.iter().find(|m| m.actor == control && cx.operation(m.operation).is_register()).cloned()
    else {
        return Ok(());
    };
    let label = cx.operation(made.operation).label();
    let asked: Vec<String> =
        cx.operation(made.operation).body_members().into_iter().map(|(name, _)| name).collect();
    let shown = shown_of(cx, control, &name, Some(&made.exchange))?;
    let mut extra = usual();
    for (_, object) in &shown {
        for (name, value) in object {
            if !asked.contains(name)
                && is_owned_by_server(name)
                && let Some(value) = raised(name, value, "pcmass")
            {
                extra.insert(name.clone(), value);
            }
        }
    }
    extra.retain(|name, _| !asked.contains(name));
    let object = shown.iter().map(|(_, object)| object).max_by_key(|object| object.len()).cloned();
    let attempts = attempts(cx, &extra, &object.unwrap_or_default());
    for sent in attempts.into_iter().take(8) {
        let Some(test) = cx.register(&sent)? else { continue };
        if accepted(cx, control, test, &shown, &sent, &made.exchange, &label)? {
            break;
        }
    }
    Ok(())
}

/// Whether an account kept what its registration should not have taken.
fn accepted(
    cx: &mut Session<'_>,
    control: usize,
    test: usize,
    shown: &[View],
    sent: &Map<String, Value>,
    made: &Rc<Exchange>,
    label: &str,
) -> Outcome<bool> {
    let mut found = false;
    let name = cx.actor(control).username.clone().unwrap_or_default();
    let Some(test_name) = cx.actor(test).username.clone() else { return Ok(false) };
    let attempt = cx.made.iter().rfind(|m| m.actor == test).map(|m| m.exchange.clone());
    let now = shown_of(cx, test, &test_name, attempt.as_ref())?;
    for (read, object) in &now {
        let Some((old_read, old)) = shown
            .iter()
            .find(|(old, _)| old.request.target.replace(&name, &test_name) == read.request.target)
        else {
            continue;
        };
        for (member, value) in object {
            let Some(sent) = sent.get(member) else { continue };
            let before = old.get(member);
            if !same(value, sent) || before.is_none_or(|before| same(before, sent)) {
                continue;
            }
            found = true;
            let kind = if is_privilege(member) { &PRIVILEGE } else { &MEMBER };
            let sure = if is_surely_owned(member) { Confidence::Confirmed } else { Confidence::Likely };
            let mut evidence = vec![made, old_read];
            evidence.extend(attempt.as_ref());
            evidence.push(read);
            let finding = Finding::new(kind, sure, label, &evidence).at(format!("body /{member}"));
            cx.report(finding.saying(format!("a registration with `{member}` set keeps it")).proved(
                "the member is ignored or refused",
                format!(
                    "of two accounts registered alike, the one that sent `{member}` has it, the other has {}",
                    before.cloned().unwrap_or_default()
                ),
            ));
        }
    }
    // Rights that show nowhere but in what opens.
    let doors = cx.operations(|op| {
        op.is_get() && op.danger() == Danger::Read && op.path_says(&["admin"]) && op.path_names().is_empty()
    });
    for index in doors {
        let call = cx.compose(index, test, crate::values::Taste::Marked);
        let closed = cx.call(control, &call)?;
        let open = cx.call(test, &call)?;
        if matches!(closed.response.status, 401 | 403) && open.response.ok() {
            let mut evidence: Vec<&Rc<Exchange>> = attempt.iter().collect();
            evidence.extend([&closed, &open]);
            found = true;
            let finding = Finding::new(&PRIVILEGE, Confidence::Confirmed, label, &evidence);
            cx.report(
                finding
                    .saying("a registration with members that give rights opens an administrator's operation")
                    .proved(
                        "403 for both accounts",
                        "of two accounts registered alike, only the one that sent the members is let in",
                    ),
            );
        }
    }
    Ok(found)
}

/// What the API shows of an account, its registration's answer included.
fn shown_of(
    cx: &mut Session<'_>,
    actor: usize,
    name: &str,
    made: Option<&Rc<Exchange>>,
) -> Outcome<Vec<View>> {
    let mut found = cx.look_up(actor, name)?;
    if let Some(made) = made
        && let Some(object) = made.response.json().and_then(|answer| crate::session::holder(&answer, name))
    {
        found.push((made.clone(), object));
    }
    Ok(found)
}

/// A disposable identity changes its own profile, with a member too many.
fn profiles(cx: &mut Session<'_>) -> Outcome {
    // The first: later ones may have been given rights at their registration.
    let Some(actor) = cx.disposables().first().copied() else { return Ok(()) };
    let changers = cx.operations(|op| {
        matches!(op.method.as_str(), "PUT" | "PATCH" | "POST")
            && op.danger() == Danger::Write
            && op.alters_account()
            && op.path_names().len() <= 1
            && op.body.is_some()
            && !op.body_members().iter().any(|(name, _)| words::is_password(name))
            && !op.path_says(&["admin"])
    });
    for index in changers {
        let operation = cx.operation(index).clone();
        let mut call = cx.compose(index, actor, crate::values::Taste::Marked);
        if !operation.path_names().is_empty() {
            let Some(id) = super::alter::own_id(cx, actor, &operation) else { continue };
            call.path.insert(last_parameter(&operation), id);
        }
        let Some(key) = call.path.values().next().cloned().or_else(|| cx.actor(actor).username.clone())
        else {
            continue;
        };
        let mut done = compare(cx, index, actor, &call, &key, 0)?;
        // What was taken and cannot be read again has ruined the account: the rest is tried with another.
        for _ in 0..4 {
            let (Compared::Broken(next), None) = (&done, call.path.values().next()) else { break };
            let next = *next;
            let Some(fresh) = cx.register(&Map::new())? else { break };
            let Some(key) = cx.actor(fresh).username.clone() else { break };
            let call = cx.compose(index, fresh, crate::values::Taste::Marked);
            done = compare(cx, index, fresh, &call, &key, next)?;
        }
    }
    Ok(())
}

/// How a comparison ended.
enum Compared {
    /// All was tried, or something was kept.
    Done,
    /// After the attempt before this one the object could not be read any more.
    Broken(usize),
}

/// Objects that the scan made: changed or acted on, with members of their own too many.
fn objects(cx: &mut Session<'_>) -> Outcome {
    let writers = cx.operations(|op| {
        !op.is_get()
            && !op.path_names().is_empty()
            && op.danger() == Danger::Write
            && !op.alters_account()
            && !op.path_says(&["admin"])
    });
    for index in writers {
        let operation = cx.operation(index).clone();
        let noun = noun_before(&operation, &last_parameter(&operation));
        let made = cx.made.clone();
        let mut call = None;
        for one in made.iter().filter(|one| !one.gone) {
            let maker = cx.operation(one.operation);
            let akin = operation.path.starts_with(maker.path.as_str())
                || maker.segments().any(|s| words::split(s).iter().any(|w| words::singular(w) == noun));
            if akin && !maker.is_register() {
                call = cx.call_for(index, one, &noun).map(|call| (one.actor, call));
            }
            if call.is_some() {
                break;
            }
        }
        let Some((actor, call)) = call else { continue };
        let Some(id) = call.path.get(&last_parameter(&operation)).cloned() else { continue };
        compare(cx, index, actor, &call, &id, 0)?;
    }
    makers(cx)
}

/// Makes a second object like the first, with members that only the server should set.
fn makers(cx: &mut Session<'_>) -> Outcome {
    let made = cx.made.clone();
    let mut done = Vec::new();
    for one in made.iter().filter(|one| !one.gone) {
        let operation = cx.operation(one.operation).clone();
        if operation.is_register() || done.contains(&one.operation) || operation.method != "POST" {
            continue;
        }
        done.push(one.operation);
        let Some(answer) = one.exchange.response.json() else { continue };
        let Some(id) = crate::explore::id_of(&answer, &operation.noun()) else { continue };
        let shown = cx.look_up(one.actor, &id)?;
        let Some((_, object)) = shown
            .into_iter()
            .max_by_key(|(_, object)| object.len())
            .or_else(|| crate::session::holder(&answer, &id).map(|object| (one.exchange.clone(), object)))
        else {
            continue;
        };
        let asked: Vec<String> = operation.body_members().into_iter().map(|(name, _)| name).collect();
        if additions(&object, &asked).is_empty() {
            continue;
        }
        let mut plain = cx.compose(one.operation, one.actor, crate::values::Taste::Marked);
        plain.path.clone_from(&one.call.path);
        // The control is made now, like the test: the first object may have changed since.
        let control = cx.call(one.actor, &plain)?;
        let Some((control_view, object)) = view_new(cx, one.operation, one.actor, &control)? else {
            continue;
        };
        let mut extra = additions(&object, &asked);
        extra.retain(|_, value| !value.is_null());
        let call = plain.with_members(&extra);
        let attack = cx.call(one.actor, &call)?;
        if !attack.response.ok() || says_failure(&attack.response) {
            continue;
        }
        let Some((after, now)) = view_new(cx, one.operation, one.actor, &attack)? else { continue };
        let evidence = [&control, &control_view, &attack, &after];
        judge(cx, (&operation.label(), !asked.is_empty()), &extra, &object, &now, &evidence);
    }
    Ok(())
}

/// What the API shows of an object that was just made.
fn view_new(cx: &mut Session<'_>, index: usize, actor: usize, made: &Rc<Exchange>) -> Outcome<Option<View>> {
    if !made.response.ok() || says_failure(&made.response) {
        return Ok(None);
    }
    let Some(answer) = made.response.json() else { return Ok(None) };
    let Some(id) = crate::explore::id_of(&answer, &cx.operation(index).noun()) else { return Ok(None) };
    cx.note_answer(index, actor, made, true);
    let shown = cx.look_up(actor, &id)?.into_iter().max_by_key(|(_, object)| object.len());
    Ok(shown.or_else(|| crate::session::holder(&answer, &id).map(|object| (made.clone(), object))))
}

/// Members of an object that a call could carry in addition, with raised values.
fn additions(object: &Map<String, Value>, asked: &[String]) -> Map<String, Value> {
    let fresh = |name: &str| {
        !asked.iter().any(|known| known == name)
            && is_owned_by_server(name)
            && !matches!(words::flat(name).as_str(), "id" | "createdat" | "updatedat")
    };
    object
        .iter()
        .filter(|(name, _)| fresh(name))
        .filter_map(|(name, value)| Some((name.clone(), raised(name, value, "pcmass")?)))
        .collect()
}

/// The control is the object before the call with additions; the test is the object after it.
fn compare(
    cx: &mut Session<'_>,
    index: usize,
    actor: usize,
    call: &Call,
    id: &str,
    skip: usize,
) -> Outcome<Compared> {
    let shown = cx.look_up(actor, id)?;
    let Some((before, object)) = shown.into_iter().max_by_key(|(_, object)| object.len()) else {
        return Ok(Compared::Done);
    };
    let operation = cx.operation(index).clone();
    let asked: Vec<String> = operation.body_members().into_iter().map(|(name, _)| name).collect();
    // The call without additions has to work, or its refusal says nothing; and what it changes by itself is no
    // addition's doing.
    let mut call = call.clone();
    let mut plain = cx.call(actor, &call)?;
    if !plain.response.ok() || says_failure(&plain.response) {
        // What the API calls it elsewhere: in the object itself, or where such objects are made.
        let folder = operation.path.split("/{").next().unwrap_or_default();
        let elsewhere = cx
            .api
            .operations
            .iter()
            .filter(|op| op.noun() == operation.noun() || op.path.starts_with(folder));
        let names = elsewhere.flat_map(|op| op.body_members()).map(|(name, _)| name);
        let names: Vec<String> = object.keys().cloned().chain(names).collect();
        let Some(renamed) = renamed(&call, &names) else { return Ok(Compared::Done) };
        call = renamed;
        plain = cx.call(actor, &call)?;
        if !plain.response.ok() || says_failure(&plain.response) {
            return Ok(Compared::Done);
        }
    }
    let between = cx.send(actor, before.request.plain())?;
    let Some(control) = between.response.json().and_then(|answer| crate::session::holder(&answer, id)) else {
        return Ok(Compared::Done);
    };
    let mut extra = additions(&control, &asked);
    extra.retain(|name, _| object.get(name) == control.get(name));
    if operation.alters_account() && !object.contains_key("role") {
        extra.entry("role").or_insert(json!("admin"));
    }
    if extra.is_empty() {
        return Ok(Compared::Done);
    }
    // The first that is taken and shows; one that is taken and changes nothing says only that it is ignored.
    for (turn, extra) in attempts(cx, &extra, &control).into_iter().enumerate().skip(skip) {
        let attack = cx.call(actor, &call.with_members(&extra))?;
        if attack.response.status >= 500 && cx.send(actor, before.request.plain())?.response.status >= 500 {
            return Ok(Compared::Broken(turn + 1));
        }
        if !attack.response.ok() || says_failure(&attack.response) {
            continue;
        }
        let again = cx.send(actor, before.request.plain())?;
        let Some(now) = again.response.json().and_then(|answer| crate::session::holder(&answer, id)) else {
            return Ok(Compared::Done);
        };
        let about = (operation.label(), !asked.is_empty());
        let evidence = [&plain, &between, &attack, &again];
        if judge(cx, (&about.0, about.1), &extra, &control, &now, &evidence) {
            return Ok(Compared::Done);
        }
    }
    stored_names(cx, actor, &call, id, (&plain, &between), &control)?;
    Ok(Compared::Done)
}

/// The answer to the call itself may show the object under the names that it is stored by: those are tried, and what a read
/// shows afterwards tells by its value.
fn stored_names(
    cx: &mut Session<'_>,
    actor: usize,
    call: &Call,
    id: &str,
    (plain, between): (&Rc<Exchange>, &Rc<Exchange>),
    control: &Map<String, Value>,
) -> Outcome {
    let operation = cx.operation(call.operation).clone();
    let asked: Vec<String> = operation.body_members().into_iter().map(|(name, _)| name).collect();
    let shown = plain.response.json().and_then(|answer| crate::session::holder(&answer, id));
    let Some(shown) = shown.filter(|_| !asked.is_empty()) else { return Ok(()) };
    let known = call.members().cloned().unwrap_or_default();
    let mut extra = additions(&shown, &asked);
    extra.retain(|name, value| {
        !control.contains_key(name) && !known.contains_key(name) && value.is_number() && is_surely_owned(name)
    });
    for (name, value) in extra.into_iter().take(4) {
        let sent = Map::from_iter([(name.clone(), value.clone())]);
        let attack = cx.call(actor, &call.with_members(&sent))?;
        if !attack.response.ok() || says_failure(&attack.response) {
            continue;
        }
        let again = cx.send(actor, between.request.plain())?;
        let Some(now) = again.response.json().and_then(|answer| crate::session::holder(&answer, id)) else {
            return Ok(());
        };
        let kept = now.iter().find(|(member, is)| {
            same(is, &value) && control.get(*member).is_some_and(|was| !same(was, &value))
        });
        let Some((member, _)) = kept else { continue };
        let kind = if is_privilege(&name) { &PRIVILEGE } else { &MEMBER };
        let evidence = [plain, between, &attack, &again];
        let finding = Finding::new(kind, Confidence::Confirmed, operation.label(), &evidence)
            .at(format!("body /{name}"));
        cx.report(
            finding
                .saying(format!("`{name}`, which the call does not take, set `{member}` of the object"))
                .proved(
                    "the member is ignored or refused",
                    "a read showed the server's own value before, and the sent one after",
                ),
        );
        break;
    }
    Ok(())
}

/// A body whose members have longer names that the API uses elsewhere: `card_limit` where the document says `limit`.
fn renamed(call: &Call, names: &[String]) -> Option<Call> {
    let body = call.body.as_ref()?.as_object()?;
    let mut changed = false;
    let mut members = Map::new();
    for (name, value) in body {
        let longer =
            names.iter().find(|key| words::split(key).ends_with(&words::split(name)) && *key != name);
        changed |= longer.is_some();
        members.insert(longer.unwrap_or(name).clone(), value.clone());
    }
    changed.then(|| Call { body: Some(Value::Object(members)), ..call.clone() })
}

/// Whether additions were kept. `described` is whether the document says at all what the call takes: where it does not,
/// nothing is an addition for sure.
fn judge(
    cx: &mut Session<'_>,
    (label, described): (&str, bool),
    extra: &Map<String, Value>,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    evidence: &[&Rc<Exchange>],
) -> bool {
    let mut found = false;
    for (name, sent) in extra {
        let (Some(was), Some(is)) = (before.get(name), after.get(name)) else { continue };
        if same(was, sent) || !same(is, sent) {
            continue;
        }
        found = true;
        let kind = if is_privilege(name) { &PRIVILEGE } else { &MEMBER };
        let sure = described && is_surely_owned(name);
        let confidence = if sure { Confidence::Confirmed } else { Confidence::Likely };
        let finding = Finding::new(kind, confidence, label, evidence).at(format!("body /{name}"));
        cx.report(
            finding
                .saying(format!(
                    "`{name}`, which the call does not take, was set by it: {} became {}",
                    text(was),
                    text(is)
                ))
                .proved(
                    "the member is ignored or refused",
                    "the API showed the server's own value without the member and the sent one with it",
                ),
        );
    }
    found
}
