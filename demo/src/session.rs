//! Who the end user is (API2). The weak twin believes whatever a token says of itself; the fixed one looks up a
//! random token, which it keeps only as a hash, and reads the role from its own table.

use crate::exchange::{Fault, Request};
use crate::secrets::{base64url, hex, random, sha256, unbase64url};
use crate::shop::{Shop, number, text};
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// How long a session of the fixed twin lasts.
pub(crate) const SESSION: Duration = Duration::from_secs(3600);

/// The logged-in user.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) id: i64,
    admin: bool,
}

impl Caller {
    /// Refuses, in the fixed twin, what belongs to another user (API1). Admins may see everybody's.
    pub(crate) fn must_own(&self, shop: &Shop, owner: i64, refusal: Fault) -> Result<(), Fault> {
        if shop.fixed() && self.id != owner && !self.admin { Err(refusal) } else { Ok(()) }
    }

    /// Refuses, in the fixed twin, who is no admin (API5).
    pub(crate) fn must_be_admin(&self, shop: &Shop) -> Result<(), Fault> {
        if shop.fixed() && !self.admin { Err(Fault::forbidden()) } else { Ok(()) }
    }
}

/// A token for the user.
pub(crate) fn open(shop: &Shop, user: i64, role: &str) -> Result<String, Fault> {
    if !shop.fixed() {
        let payload = json!({ "sub": user, "role": role });
        return Ok(format!(
            "{}.{}.",
            base64url(br#"{"alg":"none","typ":"JWT"}"#),
            base64url(payload.to_string().as_bytes())
        ));
    }
    let token = hex(&random::<32>().map_err(|error| Fault::broken(error.to_string()))?);
    let mut sessions = shop.sessions.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    sessions.retain(|_, (_, end)| *end > now);
    sessions.insert(sha256(&[token.as_bytes()]), (user, now + SESSION));
    Ok(token)
}

/// Ends the session. The weak twin keeps none, so its tokens live for ever.
pub(crate) fn close(shop: &Shop, request: &Request) {
    if let Some(token) = bearer(request) {
        shop.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&sha256(&[token.as_bytes()]));
    }
}

/// Ends all sessions of a user, after a new password.
pub(crate) fn close_all(shop: &Shop, user: i64) {
    shop.sessions.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, (owner, _)| *owner != user);
}

/// Who sent the request.
pub(crate) fn caller(shop: &Shop, request: &Request) -> Result<Caller, Fault> {
    let token = bearer(request).ok_or_else(|| Fault::unauthorized("log in and send the token as Bearer"))?;
    let caller = if shop.fixed() { remembered(shop, token)? } else { claimed(token) };
    caller.ok_or_else(|| Fault::unauthorized("this token is not valid: log in again"))
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn claimed(token: &str) -> Option<Caller> {
    let payload: Value = serde_json::from_slice(&unbase64url(token.split('.').nth(1)?)?).ok()?;
    let admin = payload.get("role").and_then(Value::as_str) == Some("admin");
    Some(Caller { id: payload.get("sub")?.as_i64()?, admin })
}

fn remembered(shop: &Shop, token: &str) -> Result<Option<Caller>, Fault> {
    let found = {
        let sessions = shop.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(&sha256(&[token.as_bytes()])).copied()
    };
    let Some((user, _)) = found.filter(|(_, end)| *end > Instant::now()) else { return Ok(None) };
    let row = shop.row("SELECT id, role FROM users WHERE id = ?1", [user])?;
    Ok(row.map(|row| Caller { id: number(&row, "id"), admin: text(&row, "role") == "admin" }))
}
