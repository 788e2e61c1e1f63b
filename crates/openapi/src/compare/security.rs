//! Servers, schemes and requirements of two contracts.

use super::{Changes, Effect, Pair};
use crate::contract::Contract;
use crate::model::{In, Place, Requirement, SchemeKind, Security, SecurityScheme};

/// Servers that came or went.
pub(super) fn servers(old: &Contract, new: &Contract, changes: &mut Changes) {
    let place = place_of(new);
    for url in &new.info.servers {
        if is_plain(url) && !old.info.servers.contains(url) {
            changes.add_overall("servers", format!("`{url}` is not encrypted"), Effect::WEAKER, &place);
        }
    }
    for url in &old.info.servers {
        let encrypted = format!("https{}", url.strip_prefix("http").unwrap_or_default());
        let moved = is_plain(url) && new.info.servers.iter().any(|known| **known == *encrypted);
        if !new.info.servers.contains(url) && !moved {
            changes.add_overall("servers", format!("`{url}` is gone"), Effect::BREAKING, &place);
        }
    }
}

fn is_plain(url: &str) -> bool {
    let Some(rest) = url.get(..7).filter(|start| start.eq_ignore_ascii_case("http://")).and(url.get(7..))
    else {
        return false;
    };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    !(host == "localhost" || host.starts_with("127.") || rest.starts_with("[::1]"))
}

/// Schemes that are proved in another way now.
pub(super) fn schemes(old: &Contract, new: &Contract, changes: &mut Changes) {
    let place = place_of(new);
    for before in &old.security_schemes {
        let Some(after) = new.security_schemes.iter().find(|known| known.name == before.name) else {
            continue;
        };
        if before.kind == after.kind {
            continue;
        }
        let part = format!("security scheme {}", before.name);
        let (was, is) = (kind(&before.kind), kind(&after.kind));
        match (&before.kind, &after.kind) {
            (SchemeKind::OAuth2 { .. }, SchemeKind::OAuth2 { .. })
            | (SchemeKind::Bearer { .. }, SchemeKind::Bearer { .. }) => {
                changes.add_overall(&part, "its details changed", Effect::NONE, &place);
            }
            _ => {
                let weaker = strength(&after.kind) < strength(&before.kind);
                let effect = if weaker { Effect::BOTH } else { Effect::BREAKING };
                changes.add_overall(&part, format!("it is {is}, was {was}"), effect, &place);
            }
        }
    }
}

/// How well a credential of a kind keeps: one in a URL is in every log, a password or a key is sent whole.
fn strength(kind: &SchemeKind) -> u8 {
    match kind {
        SchemeKind::ApiKey { location: In::Query, .. } => 0,
        SchemeKind::ApiKey { .. } | SchemeKind::Basic => 1,
        SchemeKind::Http { .. } => 2,
        SchemeKind::Bearer { .. } | SchemeKind::OAuth2 { .. } | SchemeKind::OpenIdConnect { .. } => 3,
        // It can never be satisfied.
        SchemeKind::MutualTls | SchemeKind::Unknown => 4,
    }
}

fn kind(kind: &SchemeKind) -> String {
    match kind {
        SchemeKind::ApiKey { location, name } => {
            format!("a key in the {} `{name}`", super::messages::place_name(*location))
        }
        SchemeKind::Basic => "HTTP Basic".into(),
        SchemeKind::Bearer { .. } => "a bearer token".into(),
        SchemeKind::Http { scheme } => format!("HTTP {scheme}"),
        SchemeKind::OAuth2 { .. } => "OAuth 2".into(),
        SchemeKind::OpenIdConnect { .. } => "OpenID Connect".into(),
        SchemeKind::MutualTls => "a client certificate".into(),
        SchemeKind::Unknown => "nothing that can be proved".into(),
    }
}

/// Whether anyone may call.
pub(super) fn is_open(security: &Security) -> bool {
    match security {
        Security::Absent => true,
        Security::AnyOf(list) => list.is_empty() || list.iter().any(|one| one.all_of.is_empty()),
    }
}

/// Who may call, in both.
pub(super) fn requirements(pair: &Pair<'_>, changes: &mut Changes) {
    let (old, new) = (alternatives(&pair.old.security), alternatives(&pair.new.security));
    let (before, after) = (&pair.old_contract.security_schemes, &pair.new_contract.security_schemes);
    // Whoever has what `more` asks for has what `less` asks for.
    let implies =
        |more: &Requirement, more_of: &[SecurityScheme], less: &Requirement, less_of: &[SecurityScheme]| {
            less.all_of.iter().all(|wanted| {
                more.all_of.iter().any(|had| {
                    same(&had.scheme, more_of, &wanted.scheme, less_of)
                        && wanted.scopes.iter().all(|scope| had.scopes.contains(scope))
                })
            })
        };
    for new in &new {
        if !old.iter().any(|old| implies(new, after, old, before)) {
            let what = match new.all_of.is_empty() {
                true => format!("anyone may call; before: {}", all(&old)),
                false => format!("{} is enough; before: {}", one(new), all(&old)),
            };
            pair.note(changes, "security", what, Effect::WEAKER);
        }
    }
    for old in &old {
        if !new.iter().any(|new| implies(old, before, new, after)) {
            let what = match old.all_of.is_empty() {
                true => format!("{} is needed; before: nothing", all(&new)),
                false => format!("{} is not enough any more; now: {}", one(old), all(&new)),
            };
            pair.note(changes, "security", what, Effect::BREAKING);
        }
    }
}

/// Whether two names stand for the same proof. A scheme of the same name that changed is told once, above.
fn same(left: &str, left_of: &[SecurityScheme], right: &str, right_of: &[SecurityScheme]) -> bool {
    let find = |name: &str, list: &[SecurityScheme]| {
        list.iter().find(|scheme| *scheme.name == *name).map(|scheme| scheme.kind.clone())
    };
    left == right || find(left, left_of).is_some_and(|kind| Some(kind) == find(right, right_of))
}

fn alternatives(security: &Security) -> Vec<Requirement> {
    match security {
        Security::AnyOf(list) if !list.is_empty() => list.clone(),
        _ => vec![Requirement { all_of: Vec::new() }],
    }
}

fn one(requirement: &Requirement) -> String {
    let uses = requirement.all_of.iter().map(|used| {
        if used.scopes.is_empty() {
            format!("`{}`", used.scheme)
        } else {
            format!("`{}` ({})", used.scheme, used.scopes.join(", "))
        }
    });
    let uses: Vec<String> = uses.collect();
    if uses.is_empty() { "nothing".into() } else { uses.join(" and ") }
}

fn all(list: &[Requirement]) -> String {
    list.iter().map(one).collect::<Vec<_>>().join(" or ")
}

fn place_of(contract: &Contract) -> Place {
    let source = contract.operations.first().map_or("", |operation| &*operation.place.source);
    Place { source: source.into(), line: 1, column: 1 }
}
