//! Profiles and profile pictures (API1, API3, API7, API8).

use crate::exchange::{Fault, Reply, Request, put};
use crate::outbound;
use crate::session::caller;
use crate::shop::{Shop, id, public};
use bytes::Bytes;
use http::StatusCode;
use rusqlite::params;
use serde_json::{Value, json};

/// What no client should see of a user.
pub(crate) const SECRET: &[&str] = &["passwordHash"];
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const LARGEST_PICTURE: usize = 64 * 1024;

/// A profile. The weak twin shows anybody's, with the password hash.
pub(crate) fn get(shop: &Shop, request: &Request, user: &str) -> Result<Reply, Fault> {
    let (caller, user) = (caller(shop, request)?, id(user, "user")?);
    caller.must_own(shop, user, Fault::forbidden())?;
    profile(shop, user)
}

/// Changes a profile. The weak twin changes anybody's, and any column: `role` and `creditCents` as well.
pub(crate) fn update(shop: &Shop, request: &Request, user: &str) -> Result<Reply, Fault> {
    let (caller, user) = (caller(shop, request)?, id(user, "user")?);
    caller.must_own(shop, user, Fault::forbidden())?;
    let fields = request.fields(&["displayName", "email", "address"])?;
    if fields.text_if_any("email", 6, 120)?.is_some_and(|email| !email.contains('@')) {
        return Err(Fault::bad("`email` must be an email address"));
    }
    fields.text_if_any("displayName", 1, 60)?;
    fields.text_if_any("address", 0, 160)?;
    let columns: &[&str] = if shop.fixed() {
        &["displayName", "email", "address"]
    } else {
        &["displayName", "email", "address", "role", "creditCents", "username"]
    };
    for column in columns {
        match fields.raw(column) {
            Some(Value::String(text)) => {
                shop.run(&format!("UPDATE users SET {column} = ?1 WHERE id = ?2"), params![text, user])?;
            }
            Some(Value::Number(number)) => {
                let number = number.as_i64();
                shop.run(&format!("UPDATE users SET {column} = ?1 WHERE id = ?2"), params![number, user])?;
            }
            _ => {}
        }
    }
    profile(shop, user)
}

fn profile(shop: &Shop, user: i64) -> Result<Reply, Fault> {
    let row =
        shop.row("SELECT * FROM users WHERE id = ?1", [user])?.ok_or_else(|| Fault::not_found("user"))?;
    Ok(Reply::ok(&public(shop, row, SECRET)))
}

/// Takes a profile picture from a URL. The weak twin fetches whatever it is told, follows redirects, keeps any
/// content and shows the start of it; the fixed one takes PNG files from the shop's image host only.
pub(crate) async fn fetch_avatar(shop: &Shop, request: &Request, user: &str) -> Result<Reply, Fault> {
    let (caller, user) = (caller(shop, request)?, id(user, "user")?);
    caller.must_own(shop, user, Fault::forbidden())?;
    let fields = request.fields(&["url"])?;
    let url = fields.text("url", 10, 200)?;
    let fetched = if shop.fixed() {
        if !from_image_host(url) {
            return Err(Fault::bad("`url` must be a PNG file on images.shop.example"));
        }
        let fetched = outbound::get(shop, url, outbound::Trust::little(0)).await?;
        if fetched.status != StatusCode::OK || !is_picture(&fetched.body) {
            return Err(Fault::bad("there is no PNG file of at most 64 KiB at this address"));
        }
        fetched
    } else {
        outbound::get(shop, url, outbound::Trust::little(5)).await?
    };
    let kept = if shop.fixed() { "image/png" } else { fetched.content_type.as_str() };
    keep(shop, user, kept, &fetched.body)?;
    let mut body = json!({ "avatarUrl": format!("/v2/users/{user}/avatar"), "size": fetched.body.len() });
    if !shop.fixed() && !fetched.content_type.starts_with("image/") {
        let start: String = String::from_utf8_lossy(&fetched.body).chars().take(2000).collect();
        put(&mut body, "preview", json!(start));
    }
    Ok(Reply::ok(&body))
}

fn from_image_host(url: &str) -> bool {
    let path = url.strip_prefix("http://images.shop.example/avatars/");
    path.and_then(|path| path.strip_suffix(".png")).is_some_and(|name| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    })
}

/// Stores an uploaded picture. The weak twin keeps anything, under the type the sender gave it.
pub(crate) fn upload_avatar(shop: &Shop, request: &Request, user: &str) -> Result<Reply, Fault> {
    let (caller, user) = (caller(shop, request)?, id(user, "user")?);
    caller.must_own(shop, user, Fault::forbidden())?;
    let kind = request.header("content-type").unwrap_or("application/octet-stream");
    if shop.fixed() && (kind != "image/png" || !is_picture(&request.body)) {
        return Err(Fault::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send a PNG file of at most 64 KiB as image/png",
        ));
    }
    keep(shop, user, kind, &request.body)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn is_picture(bytes: &[u8]) -> bool {
    bytes.starts_with(PNG) && bytes.len() <= LARGEST_PICTURE
}

fn keep(shop: &Shop, user: i64, kind: &str, data: &[u8]) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO avatars (userId, contentType, data) VALUES (?1, ?2, ?3)";
    shop.run(sql, params![user, kind, data]).map(|_| ())
}

/// The stored picture.
pub(crate) fn avatar(shop: &Shop, request: &Request, user: &str) -> Result<Reply, Fault> {
    let (caller, user) = (caller(shop, request)?, id(user, "user")?);
    caller.must_own(shop, user, Fault::forbidden())?;
    let found = shop.blob("SELECT contentType, data FROM avatars WHERE userId = ?1", &user)?;
    let (kind, data) = found.ok_or_else(|| Fault::not_found("picture"))?;
    Ok(Reply::bytes(StatusCode::OK, &kind, Bytes::from(data)))
}
