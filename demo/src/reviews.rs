//! What customers say about goods (stored script in the weak twin).

use crate::exchange::{Fault, Reply, Request};
use crate::session::caller;
use crate::shop::{Shop, id, number, page, text};
use bytes::Bytes;
use http::StatusCode;
use rusqlite::params;
use serde_json::{Value, json};

fn must_exist(shop: &Shop, product: &str) -> Result<i64, Fault> {
    let product = id(product, "product")?;
    let found = shop.row("SELECT id FROM products WHERE id = ?1", [product])?;
    found.map(|_| product).ok_or_else(|| Fault::not_found("product"))
}

/// The reviews of a product. To a browser the weak twin answers with a page that holds the texts as they came.
pub(crate) fn list(shop: &Shop, request: &Request, product: &str) -> Result<Reply, Fault> {
    let product = must_exist(shop, product)?;
    let rows = shop.rows("SELECT * FROM reviews WHERE productId = ?1 ORDER BY id", [product])?;
    if !shop.fixed() && request.header("accept").is_some_and(|accept| accept.starts_with("text/html")) {
        let texts: String = rows
            .iter()
            .map(|row| format!("<p><b>{}</b> {}</p>\n", text(row, "author"), text(row, "text")))
            .collect();
        return Ok(Reply::bytes(
            StatusCode::OK,
            "text/html",
            Bytes::from(format!("<h1>Reviews</h1>\n{texts}")),
        ));
    }
    Ok(Reply::ok(&page(request, rows.into_iter().map(Value::Object).collect())?))
}

/// Adds a review in the caller's name. The weak twin lets the body say who wrote it, and takes any length.
pub(crate) fn create(shop: &Shop, request: &Request, product: &str) -> Result<Reply, Fault> {
    let caller = caller(shop, request)?;
    let product = must_exist(shop, product)?;
    let fields = request.fields(&["stars", "text"])?;
    let (stars, words) = (fields.number("stars", 1, 5)?, fields.text("text", 1, 2000)?);
    let user = shop.row("SELECT username FROM users WHERE id = ?1", [caller.id])?.unwrap_or_default();
    let mut author = text(&user, "username");
    if !shop.fixed() {
        author = fields.raw("author").and_then(Value::as_str).unwrap_or(author);
    }
    let id = shop.insert(
        "INSERT INTO reviews (productId, author, stars, text, createdAt) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![product, author, stars, words, shop.now()?],
    )?;
    let row = shop.row("SELECT * FROM reviews WHERE id = ?1", [id])?.unwrap_or_default();
    Ok(Reply::json(StatusCode::CREATED, &json!(row)))
}

/// Takes a review away: an admin's work, which the weak twin lets every user do (API5).
pub(crate) fn remove(shop: &Shop, request: &Request, review: &str) -> Result<Reply, Fault> {
    caller(shop, request)?.must_be_admin(shop)?;
    let row = shop.row("DELETE FROM reviews WHERE id = ?1 RETURNING id", [id(review, "review")?])?;
    row.map(|row| number(&row, "id")).ok_or_else(|| Fault::not_found("review"))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}
