//! What most rules need.

pub(super) use portcullis_engine::Owasp;
pub(super) use portcullis_openapi::source::{Kind, Node};

pub(super) use crate::contract::findings::{Out, head};
pub(super) use crate::contract::model::{
    Description, Facts, Label, Media, Operation, Parameter, Response, Role, Schema, Scheme, Security, Server,
    Spot,
};
pub(super) use crate::contract::names::{self, Meaning};
pub(super) use crate::contract::rule::{Hook, Rule, Severity};

/// The operations that a scheme's requirement concerns.
pub(super) fn users_of(description: &Description<'_>, scheme: &str) -> Vec<u32> {
    let uses = |operation: &&Operation<'_>| match &operation.security {
        Security::AnyOf(_, any) => any.iter().flatten().any(|(member, _)| *member.key == *scheme),
        _ => false,
    };
    description.operations.iter().filter(uses).map(|operation| operation.index).collect()
}

/// The flows of an OAuth 2 scheme: name, where it stands, its members. Swagger 2.0 has one, named in its own words.
pub(super) fn flows<'t>(scheme: &Scheme<'t>) -> impl Iterator<Item = (&'t str, Spot<'t>, Spot<'t>)> {
    let spot = scheme.spot;
    let one = spot.str("flow").map(|name| (name, spot, spot));
    let many = spot.get("flows").map(Spot::members).unwrap_or_default();
    one.into_iter().chain(many.iter().map(move |member| {
        let flow = spot.with(&member.value);
        (&*member.key, flow, flow)
    }))
}

/// A hit for each flow of this name that a scheme offers.
pub(super) fn offers_flow<'t>(
    description: &Description<'t>,
    scheme: &Scheme<'t>,
    wanted: &str,
    out: &mut Out<'_, 't>,
) {
    for (name, at, _) in flows(scheme).filter(|(name, ..)| *name == wanted) {
        out.place(at, name, &users_of(description, scheme.name));
    }
}

/// A hit where a schema has no largest size; the fix adds one, which may turn calls away.
pub(super) fn unbounded<'t>(schema: &Schema<'t>, key: &str, most: u64, out: &mut Out<'_, 't>) {
    out.schema(schema, true, false);
    out.insert(schema.spot, key, || most.into(), false);
}

/// A hit for each body that has a structure of which nothing is said.
pub(super) fn untyped<'t>(
    description: &Description<'t>,
    operation: &Operation<'t>,
    bodies: &[Media<'t>],
    out: &mut Out<'_, 't>,
) {
    for media in bodies.iter().filter(|media| is_structured(media.name) && is_untyped(description, media)) {
        out.operation(operation, media.spot.file, media.key, media.name);
    }
}

/// A hit where a parameter of the URL has a name that should not stand there.
pub(super) fn in_url<'t>(parameter: &Parameter<'t>, is: fn(Meaning) -> bool, out: &mut Out<'_, 't>) {
    if matches!(parameter.place, "path" | "query") && is(Meaning::of(parameter.name)) {
        out.parameter(parameter);
    }
}

/// Whether requests may hold a schema.
pub(super) fn in_request(description: &Description<'_>, schema: &Schema<'_>) -> bool {
    description.units.get(schema.unit as usize).is_some_and(|unit| unit.request)
}

/// Whether bodies of a media type have a structure that a schema can describe.
pub(super) fn is_structured(media: &str) -> bool {
    let name = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    name.ends_with("json")
        || name.ends_with("xml")
        || name == "application/x-www-form-urlencoded"
        || name == "multipart/form-data"
        || name.contains('*')
}

/// Whether nothing is said about a body of this media type.
pub(super) fn is_untyped(description: &Description<'_>, media: &Media<'_>) -> bool {
    match media.unit.and_then(|unit| description.units.get(unit as usize)) {
        Some(unit) => Facts::of(unit.spot.node).empty,
        // A reference that leads nowhere is a finding of its own.
        None => media.spot.node.get("schema").is_none(),
    }
}

/// A hit where an operation describes neither `status` nor anything that stands for it; the fix adds it.
pub(super) fn missing_response<'t>(
    operation: &Operation<'t>,
    status: &str,
    text: &str,
    out: &mut Out<'_, 't>,
) {
    let described = operation.responses.iter().any(|response| {
        let written = response.status;
        let class = || {
            written.get(..1) == status.get(..1)
                && written.get(1..).is_some_and(|rest| rest.eq_ignore_ascii_case("XX"))
        };
        written.eq_ignore_ascii_case(status) || written.eq_ignore_ascii_case("default") || class()
    });
    if described || operation.responses.is_empty() {
        return;
    }
    out.operation(operation, operation.spot.file, operation.key, operation.method);
    if let Some(responses) = operation.spot.get("responses") {
        out.insert(responses, status, || serde_json::json!({ "description": text }), true);
    }
}

/// The host of a URL; of a template, with its variables as written.
pub(super) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Whether a URL is one without encryption.
pub(super) fn is_cleartext(url: &str) -> bool {
    let lower = url.trim_start().to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("ws://")
}

/// Whether a host is the reader's own machine.
pub(super) fn is_local(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "::1"
        || host.starts_with("127.")
        || host == "0.0.0.0"
}

/// Whether a host is one of the inside: a private address (RFC 1918, RFC 4193), or a name that no public zone has.
pub(super) fn is_internal(host: &str) -> bool {
    let lower = host.to_ascii_lowercase();
    if is_local(&lower) {
        return true;
    }
    if let Ok(address) = lower.parse::<std::net::IpAddr>() {
        return match address {
            std::net::IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
            std::net::IpAddr::V6(v6) => (v6.segments().first().copied().unwrap_or(0) & 0xfe00) == 0xfc00,
        };
    }
    let zones =
        [".local", ".internal", ".corp", ".lan", ".intranet", ".intra", ".home", ".svc", ".localdomain"];
    zones.iter().any(|zone| lower.ends_with(zone)) || lower.contains(".svc.")
}
