//! Values that an API would take: from schemas, examples, formats and names.

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Value, json};

use crate::api::kind_of;
use crate::random::Random;
use crate::words;

/// How a value is chosen where several would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taste {
    /// Random markers in free text; optional members, too.
    Marked,
    /// What the document shows as an example.
    Example,
    /// Required members only.
    Least,
}

/// A value for a schema. `name` is the member's or parameter's name; `known` offers a value that the API gave
/// under such a name.
pub(crate) fn generate(
    random: &mut Random,
    taste: Taste,
    name: &str,
    schema: &Value,
    known: &mut dyn FnMut(&str, &Value) -> Option<Value>,
    depth: usize,
) -> Value {
    if let Some(fixed) = schema.get("const") {
        return fixed.clone();
    }
    if let Some(first) =
        schema.get("enum").and_then(Value::as_array).and_then(|all| all.iter().find(|v| !v.is_null()))
    {
        return first.clone();
    }
    match kind_of(schema) {
        "object" => {
            let mut members = Map::new();
            let required: Vec<&str> = schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let example = schema.get("example");
            for (inner, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                let needed = required.contains(&inner.as_str());
                let skip = property.get("readOnly").and_then(Value::as_bool).unwrap_or(false)
                    || (!needed && (taste == Taste::Least && !required.is_empty() || depth > 5));
                if skip {
                    continue;
                }
                let shown = example.and_then(|e| e.get(inner));
                let value = match shown {
                    Some(shown) if taste == Taste::Example => shown.clone(),
                    _ => generate(random, taste, inner, property, known, depth + 1),
                };
                members.insert(inner.clone(), value);
            }
            Value::Object(members)
        }
        "array" => {
            let items = schema.get("items").cloned().unwrap_or_else(|| json!({}));
            if depth > 6 {
                return json!([]);
            }
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 10);
            let one = |_| generate(random, taste, &words::singular(name), &items, known, depth + 1);
            Value::Array((0..least).map(one).collect())
        }
        kind => {
            if let Some(value) = known(name, schema) {
                return value;
            }
            let example = ["example", "default"]
                .iter()
                .find_map(|key| schema.get(key))
                .or_else(|| schema.get("examples").and_then(Value::as_array).and_then(|all| all.first()));
            let free = kind == "string" && is_free(name, schema);
            if let Some(example) = example.filter(|value| !value.is_null())
                && !(free && taste == Taste::Marked)
            {
                return example.clone();
            }
            match kind {
                "boolean" => json!(false),
                "integer" => json!(number(name, schema).round() as i64),
                "number" => json!(number(name, schema)),
                _ => Value::String(string(random, name, schema)),
            }
        }
    }
}

/// Whether any text would do: there a marker can be put that nobody else has.
pub(crate) fn is_free(name: &str, schema: &Value) -> bool {
    schema.get("enum").is_none()
        && schema.get("pattern").is_none()
        && schema.get("format").and_then(Value::as_str).is_none_or(|f| f == "email" || f == "password")
        && schema.get("maxLength").and_then(Value::as_u64).is_none_or(|most| most >= 12)
        && known_by_name(name).is_none()
        && !is_phone(name)
}

fn is_phone(name: &str) -> bool {
    matches!(
        words::flat(name).as_str(),
        "phone" | "phonenumber" | "mobile" | "mobilenumber" | "telephone" | "msisdn"
    )
}

fn number(name: &str, schema: &Value) -> f64 {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let low = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|low| low + 1.0));
    let high = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|high| high - 1.0));
    let usual: f64 = if words::has(name, &["amount", "price", "total", "cents", "value"]) {
        10.0
    } else if words::has(name, &["limit", "size", "pagesize"]) {
        20.0
    } else if words::has(name, &["offset", "skip"]) {
        0.0
    } else if words::has(name, &["year"]) {
        2030.0
    } else if words::has(name, &["age"]) {
        30.0
    } else if words::has(name, &["month", "day", "stars", "rating"]) {
        3.0
    } else {
        1.0
    };
    let mut value = usual.max(low.unwrap_or(f64::MIN)).min(high.unwrap_or(f64::MAX));
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0) {
        value = (value / step).ceil() * step;
    }
    value
}

/// What certain names always hold.
fn known_by_name(name: &str) -> Option<&'static str> {
    let flat = words::flat(name);
    Some(match flat.as_str() {
        "currency" | "currencycode" => "USD",
        "country" | "countrycode" => "US",
        "language" | "lang" | "locale" => "en",
        "cardnumber" | "creditcard" | "pan" | "creditcardnumber" => "4111111111111111",
        "cvv" | "cvc" => "123",
        "expiry" | "expirydate" | "expiration" | "exp" => "12/30",
        "zip" | "zipcode" | "postcode" | "postalcode" => "12345",
        "timezone" => "UTC",
        "amount" | "price" | "quantity" => "1",
        "vin" => "1M8GDM9AXKP042788",
        _ if flat.ends_with("date") || flat == "dob" || flat == "birthday" => "2030-01-15",
        _ if flat.ends_with("url") || flat.ends_with("uri") || flat == "website" || flat == "link" => {
            "https://example.com/pc"
        }
        _ => return None,
    })
}

/// A string for a schema.
pub(crate) fn string(random: &mut Random, name: &str, schema: &Value) -> String {
    let most = schema.get("maxLength").and_then(Value::as_u64).map_or(usize::MAX, |n| n as usize);
    let least = schema.get("minLength").and_then(Value::as_u64).map_or(0, |n| n as usize).min(4096);
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && let Some(text) = from_pattern(random, pattern, least, most)
    {
        return text;
    }
    let format = schema.get("format").and_then(Value::as_str);
    let mut text = match format {
        Some("date") => "2030-01-15".to_owned(),
        Some("date-time") => "2030-01-15T12:00:00Z".to_owned(),
        Some("time") => "12:00:00".to_owned(),
        Some("uuid") => uuid(random),
        Some("uri" | "url") => "https://example.com/pc".to_owned(),
        Some("ipv4") => "192.0.2.7".to_owned(),
        Some("ipv6") => "2001:db8::7".to_owned(),
        Some("hostname") => "example.com".to_owned(),
        Some("byte") => "cG9ydA==".to_owned(),
        Some("binary") => "portcullis".to_owned(),
        _ if format == Some("email") || words::contains(name, &["email"]) => {
            return format!("pc{}@example.com", random.word(9));
        }
        _ if words::is_password(name) => format!("Pc-{}-7Q", random.word(8)),
        // Numbers set aside for fiction; each one new, since accounts are often told apart by them.
        _ if is_phone(name) => format!("+1555{:07}", random.between(100_000, 9_999_999)),
        _ => known_by_name(name).map_or_else(|| format!("pc{}", random.word(9)), str::to_owned),
    };
    while text.chars().count() < least {
        text.push_str(&random.word(least - text.chars().count()));
    }
    if text.chars().count() > most {
        text = text.chars().rev().take(most).collect();
    }
    text
}

fn uuid(random: &mut Random) -> String {
    let (a, b) = (random.next(), random.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

/// A text that a regular expression accepts, near to a middling length. `None` for what cannot be read.
fn from_pattern(random: &mut Random, pattern: &str, least: usize, most: usize) -> Option<String> {
    let tree = regex_syntax::ParserBuilder::new().build().parse(pattern).ok()?;
    for extra in [4, 1, 12, 0, 40] {
        let mut out = String::new();
        write(random, &tree, extra, &mut out);
        let length = out.chars().count();
        if (least..=most).contains(&length) && regex::Regex::new(pattern).ok()?.is_match(&out) {
            return Some(out);
        }
    }
    None
}

fn write(random: &mut Random, tree: &Hir, extra: u32, out: &mut String) {
    if out.len() > 4096 {
        return;
    }
    match tree.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => {
            // The last range of ASCII is letters more often than not, and reads best.
            let ranges: Vec<_> =
                class.iter().filter(|range| range.end() >= ' ' && range.start() <= '~').collect();
            let range =
                ranges.iter().rev().find(|range| range.start().is_ascii_alphanumeric()).or(ranges.last());
            if let Some(range) = range {
                let (low, high) = (range.start().max(' ') as u32, range.end().min('~') as u32);
                let code = random.between(u64::from(low), u64::from(high) + 1);
                out.push(u32::try_from(code).ok().and_then(char::from_u32).unwrap_or('a'));
            }
        }
        HirKind::Class(Class::Bytes(class)) => {
            if let Some(range) = class.iter().next() {
                out.push(char::from(range.start().max(b' ')));
            }
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min + extra);
            for _ in 0..most.min(repetition.min + extra) {
                write(random, &repetition.sub, extra, out);
            }
        }
        HirKind::Capture(capture) => write(random, &capture.sub, extra, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(random, part, extra, out)),
        HirKind::Alternation(parts) => {
            if let Some(first) = parts.first() {
                write(random, first, extra, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_bounds_are_kept() {
        let mut random = Random::new(7);
        for pattern in [r"^[A-Z0-9]{3,8}$", r"^(0[1-9]|1[0-2])/[0-9]{2}$", r"^\+?[0-9]{7,}$", "^abc-[a-f]+$"]
        {
            let text = string(&mut random, "x", &json!({ "pattern": pattern }));
            assert!(regex::Regex::new(pattern).unwrap().is_match(&text), "{pattern} {text}");
        }
        let text = string(&mut random, "x", &json!({ "minLength": 30, "maxLength": 31 }));
        assert!((30..=31).contains(&text.len()));
        assert_eq!(number("x", &json!({ "minimum": 5, "maximum": 6 })), 5.0);
    }

    #[test]
    fn objects_hold_what_is_required() {
        let schema = json!({ "type": "object", "required": ["a"], "properties": {
            "a": { "type": "string" }, "b": { "type": "integer" }, "c": { "type": "string", "readOnly": true } } });
        let mut none = |_: &str, _: &Value| None;
        let least = generate(&mut Random::new(1), Taste::Least, "", &schema, &mut none, 0);
        assert!(least.get("a").is_some() && least.get("b").is_none());
        let all = generate(&mut Random::new(1), Taste::Marked, "", &schema, &mut none, 0);
        assert!(all.get("b").is_some() && all.get("c").is_none());
    }
}
