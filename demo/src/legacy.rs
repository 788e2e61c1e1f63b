//! What should not be there any more or was never meant to be seen (API9): version 1, past its sunset, and two
//! endpoints that the contract does not know. The fixed twin answers 410 for the first and has not the others.

use crate::exchange::{Fault, Reply, Request};
use crate::orders;
use crate::products::csv;
use crate::shop::{Shop, id, page};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

/// When version 1 should have gone (RFC 8594).
const SUNSET: &str = "Mon, 30 Jun 2025 23:59:59 GMT";

fn gone(reply: Reply, successor: &str) -> Reply {
    reply.with("sunset", SUNSET).with("link", &format!("<{successor}>; rel=\"successor-version\""))
}

fn closed(successor: &str) -> Reply {
    let fault = Fault::new(StatusCode::GONE, "gone", "version 1 has ended: use version 2");
    gone(fault.into_reply(true), successor)
}

/// Version 1's profile: no log-in asked.
pub(crate) fn user(shop: &Shop, user: &str) -> Result<Reply, Fault> {
    if shop.fixed() {
        return Ok(closed("/v2/users"));
    }
    let row = shop.row("SELECT * FROM users WHERE id = ?1", [id(user, "user")?])?;
    Ok(gone(Reply::ok(&json!(row.ok_or_else(|| Fault::not_found("user"))?)), "/v2/users"))
}

/// Version 1's order: no log-in asked.
pub(crate) fn order(shop: &Shop, order: &str) -> Result<Reply, Fault> {
    if shop.fixed() {
        return Ok(closed("/v2/orders"));
    }
    Ok(gone(Reply::ok(&orders::view(shop, id(order, "order")?)?), "/v2/orders"))
}

/// Version 1's product list.
pub(crate) fn products(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    if shop.fixed() {
        return Ok(closed("/v2/products"));
    }
    let rows = shop.rows("SELECT id, name, priceCents FROM products ORDER BY id", [])?;
    let items = rows.into_iter().map(Value::Object).collect();
    Ok(gone(Reply::ok(&page(request, items)?), "/v2/products"))
}

/// A developer's window on the process, left in.
pub(crate) fn debug(shop: &Shop) -> Result<Reply, Fault> {
    let tables = shop.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name", [])?;
    let engine = shop.row("SELECT sqlite_version() AS version", [])?;
    let resets = shop.rows("SELECT userId, code FROM resets", [])?;
    Ok(Reply::ok(&json!({
        "program": concat!("portcullis-demo/", env!("CARGO_PKG_VERSION")),
        "process": std::process::id(),
        "sqlite": engine,
        "schema": tables,
        "openResetCodes": resets,
        "backstage": shop.backstage.get().map(ToString::to_string),
    })))
}

/// A report for the office that somebody put on the public server.
pub(crate) fn export_orders(shop: &Shop) -> Result<Reply, Fault> {
    let rows = shop.rows(
        "SELECT orders.id, username, email, address, totalCents, status, deliveryNote
         FROM orders JOIN users ON users.id = userId ORDER BY orders.id",
        [],
    )?;
    Ok(Reply::bytes(StatusCode::OK, "text/csv", Bytes::from(csv(&rows))))
}
