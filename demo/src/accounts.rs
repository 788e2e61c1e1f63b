//! Registration, log-in and the forgotten password (API2, API3, API4).

use crate::exchange::{Fault, Reply, Request};
use crate::secrets::{hex, password_fits, random, same, strong_hash, weak_hash};
use crate::session::{self, SESSION};
use crate::shop::{Row, Shop, number, public, text};
use crate::users::SECRET;
use http::StatusCode;
use rusqlite::params;
use serde_json::{Value, json};

/// Wrong passwords for one account, or tries of one reset code, within a minute before the fixed twin stops them.
const TRIES: u32 = 5;

/// Creates an account. The weak twin also takes `role` and `creditCents` from the body.
pub(crate) fn register(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    let fields = request.fields(&["username", "password", "email", "displayName", "address"])?;
    let username = fields.text("username", 3, 32)?;
    let password = fields.text("password", 10, 72)?;
    let email = fields.text("email", 6, 120)?;
    let display_name = fields.text_if_any("displayName", 1, 60)?.unwrap_or(username);
    let address = fields.text_if_any("address", 0, 160)?.unwrap_or_default();
    let (mut role, mut credit) = ("customer", 0);
    if shop.fixed() {
        let letters =
            username.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !letters || !email.contains('@') {
            return Err(Fault::bad(
                "a user name has small letters, digits and dashes; an email address has an @",
            ));
        }
        shop.attempt("register".to_owned(), 20)?;
    } else {
        role = fields.raw("role").and_then(Value::as_str).unwrap_or(role);
        credit = fields.raw("creditCents").and_then(Value::as_i64).unwrap_or(credit);
    }
    if shop.row("SELECT id FROM users WHERE username = ?1", [username])?.is_some() {
        return Err(Fault::conflict("this user name is taken"));
    }
    let hash = stored_password(shop, password)?;
    let id = shop.insert(
        "INSERT INTO users (username, email, displayName, address, role, creditCents, passwordHash, createdAt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![username, email, display_name, address, role, credit, hash, shop.now()?],
    )?;
    let user = shop.row("SELECT * FROM users WHERE id = ?1", [id])?.unwrap_or_default();
    Ok(Reply::json(StatusCode::CREATED, &public(shop, user, SECRET)))
}

/// Answers with a token. The weak twin builds its SQL from the name, tells which names exist and counts nothing.
pub(crate) fn login(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    let fields = request.fields(&["username", "password"])?;
    let (username, password) = (fields.text("username", 3, 32)?, fields.text("password", 1, 72)?);
    let user =
        if shop.fixed() { checked(shop, username, password)? } else { believed(shop, username, password)? };
    let id = number(&user, "id");
    let token = session::open(shop, id, text(&user, "role"))?;
    Ok(Reply::ok(&json!({ "token": token, "userId": id, "expiresIn": SESSION.as_secs() })))
}

fn checked(shop: &Shop, username: &str, password: &str) -> Result<Row, Fault> {
    let key = format!("login {username}");
    shop.attempt(key.clone(), TRIES)?;
    let user = shop.row("SELECT id, role, passwordHash FROM users WHERE username = ?1", [username])?;
    // An unknown name costs as much time as a known one.
    let stored = user.as_ref().map_or("pbkdf2:00:00", |user| text(user, "passwordHash"));
    let fits = password_fits(password, stored);
    let user = user.filter(|_| fits).ok_or_else(|| Fault::unauthorized("user name or password is wrong"))?;
    shop.forget_attempts(&key);
    Ok(user)
}

fn believed(shop: &Shop, username: &str, password: &str) -> Result<Row, Fault> {
    if shop.row(&format!("SELECT id FROM users WHERE username = '{username}'"), [])?.is_none() {
        return Err(Fault::unauthorized(format!("no user is named {username}")));
    }
    let hash = weak_hash(password);
    let sql = format!("SELECT id, role FROM users WHERE username = '{username}' AND passwordHash = '{hash}'");
    shop.row(&sql, [])?.ok_or_else(|| Fault::unauthorized(format!("wrong password for {username}")))
}

/// Ends the session; the weak twin's token stays good.
pub(crate) fn logout(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    session::caller(shop, request)?;
    session::close(shop, request);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// "Mails" a reset code. The answer is the same for every name; the weak twin's codes have four digits, follow
/// from the user's number, and as many are mailed as asked for.
pub(crate) fn request_reset(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    let fields = request.fields(&["username"])?;
    let username = fields.text("username", 3, 32)?;
    shop.attempt(format!("reset {username}"), 3)?;
    if let Some(user) = shop.row("SELECT id FROM users WHERE username = ?1", [username])? {
        let id = number(&user, "id");
        let code = if shop.fixed() {
            hex(&random::<16>().map_err(|error| Fault::broken(error.to_string()))?)
        } else {
            format!("{:04}", (id * 37 + 11) % 10_000)
        };
        shop.run("DELETE FROM resets WHERE userId = ?1", [id])?;
        shop.run("INSERT INTO resets (userId, code) VALUES (?1, ?2)", params![id, code])?;
    }
    Ok(Reply::json(
        StatusCode::ACCEPTED,
        &json!({ "message": "if the account exists, a code is on its way" }),
    ))
}

/// Sets a new password with the code. The fixed twin gives a code five tries.
pub(crate) fn confirm_reset(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    let fields = request.fields(&["username", "code", "newPassword"])?;
    let (username, code) = (fields.text("username", 3, 32)?, fields.text("code", 4, 64)?);
    let password = fields.text("newPassword", 10, 72)?;
    shop.attempt(format!("confirm {username}"), TRIES)?;
    let open = shop.row(
        "SELECT users.id AS id, code, attempts FROM resets JOIN users ON users.id = userId WHERE username = ?1",
        [username],
    )?;
    let refusal = || Fault::bad("this code is not valid: ask for a new one");
    let open = open.ok_or_else(refusal)?;
    let id = number(&open, "id");
    if shop.fixed() && number(&open, "attempts") >= i64::from(TRIES) {
        shop.run("DELETE FROM resets WHERE userId = ?1", [id])?;
        return Err(refusal());
    }
    if !same(text(&open, "code").as_bytes(), code.as_bytes()) {
        shop.run("UPDATE resets SET attempts = attempts + 1 WHERE userId = ?1", [id])?;
        return Err(refusal());
    }
    shop.run("DELETE FROM resets WHERE userId = ?1", [id])?;
    let hash = stored_password(shop, password)?;
    shop.run("UPDATE users SET passwordHash = ?1 WHERE id = ?2", params![hash, id])?;
    session::close_all(shop, id);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn stored_password(shop: &Shop, password: &str) -> Result<String, Fault> {
    if !shop.fixed() {
        return Ok(weak_hash(password));
    }
    strong_hash(password).map_err(|error| Fault::broken(error.to_string()))
}
