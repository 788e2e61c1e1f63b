//! Orders (API1, API3, API6).

use crate::exchange::{Fault, Reply, Request, number_in, put};
use crate::session::{Caller, caller};
use crate::shop::{Row, Shop, id, number, page, public, text};
use http::StatusCode;
use rusqlite::params;
use serde_json::{Value, json};

/// What no customer should see of an order.
const SECRET: &[&str] = &["fraudScore"];
const MOST_LINES: usize = 20;

/// The caller's order with this id; the weak twin finds everybody's.
pub(crate) fn find(shop: &Shop, caller: &Caller, order: &str) -> Result<Row, Fault> {
    let order = id(order, "order")?;
    let row =
        shop.row("SELECT * FROM orders WHERE id = ?1", [order])?.ok_or_else(|| Fault::not_found("order"))?;
    caller.must_own(shop, number(&row, "userId"), Fault::not_found("order"))?;
    Ok(row)
}

/// An order as a client sees it, with its lines.
pub(crate) fn view(shop: &Shop, order: i64) -> Result<Value, Fault> {
    let row =
        shop.row("SELECT * FROM orders WHERE id = ?1", [order])?.ok_or_else(|| Fault::not_found("order"))?;
    let sql = "SELECT productId, quantity, priceCents FROM items WHERE orderId = ?1 ORDER BY rowid";
    let items = shop.rows(sql, [order])?;
    let mut view = public(shop, row, SECRET);
    put(&mut view, "items", json!(items));
    Ok(view)
}

/// One order.
pub(crate) fn get(shop: &Shop, request: &Request, order: &str) -> Result<Reply, Fault> {
    let row = find(shop, &caller(shop, request)?, order)?;
    Ok(Reply::ok(&view(shop, number(&row, "id"))?))
}

/// The caller's orders. The weak twin lists another user's when `userId` asks for it.
pub(crate) fn list(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    let mut owner = caller(shop, request)?.id;
    if !shop.fixed() {
        owner = request.number("userId", owner, (1, i64::MAX))?;
    }
    let rows = shop.rows("SELECT id FROM orders WHERE userId = ?1 ORDER BY id", [owner])?;
    let views = rows.iter().map(|row| view(shop, number(row, "id"))).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::ok(&page(request, views)?))
}

/// Orders goods. The weak twin takes any number of lines, any quantity (also below zero), and the status, price and
/// owner that the body wishes.
pub(crate) fn create(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    let caller = caller(shop, request)?;
    let fields = request.fields(&["items", "deliveryNote"])?;
    let note = fields.text_if_any("deliveryNote", 0, 200)?.unwrap_or_default();
    let mut lines = Vec::new();
    for item in fields.list("items", MOST_LINES)? {
        if shop.fixed() && item.keys().any(|key| key != "productId" && key != "quantity") {
            return Err(Fault::bad("an item may hold only: productId, quantity"));
        }
        let product = number_in(item, "productId", (1, i64::MAX), shop.fixed())?;
        let quantity = number_in(item, "quantity", (1, 20), shop.fixed())?;
        let sql = "SELECT priceCents, stock, limitPerCustomer FROM products WHERE id = ?1";
        let row = shop.row(sql, [product])?.ok_or_else(|| Fault::conflict("a product is not on sale"))?;
        lines.push((product, quantity, number(&row, "priceCents")));
        if shop.fixed() {
            within_limits(shop, caller.id, &row, product, &lines)?;
        }
    }
    let subtotal = lines
        .iter()
        .fold(0_i64, |sum, (_, quantity, price)| sum.saturating_add(quantity.saturating_mul(*price)));
    let (mut owner, mut total, mut status) = (caller.id, subtotal, "pending");
    if !shop.fixed() {
        owner = fields.raw("userId").and_then(Value::as_i64).unwrap_or(owner);
        total = fields.raw("totalCents").and_then(Value::as_i64).unwrap_or(total);
        status = fields.raw("status").and_then(Value::as_str).unwrap_or(status);
    }
    let order = shop.insert(
        "INSERT INTO orders (userId, status, subtotalCents, totalCents, deliveryNote, createdAt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![owner, status, subtotal, total, note, shop.now()?],
    )?;
    for (product, quantity, price) in lines {
        shop.run("INSERT INTO items VALUES (?1, ?2, ?3, ?4)", params![order, product, quantity, price])?;
        shop.run("UPDATE products SET stock = stock - ?1 WHERE id = ?2", [quantity, product])?;
    }
    let location = format!("/v2/orders/{order}");
    Ok(Reply::json(StatusCode::CREATED, &view(shop, order)?).with("location", &location))
}

/// Refuses what the shop does not have, and more of a rare product than one customer may buy in all.
fn within_limits(
    shop: &Shop,
    user: i64,
    product: &Row,
    id: i64,
    lines: &[(i64, i64, i64)],
) -> Result<(), Fault> {
    let wanted: i64 = lines.iter().filter(|line| line.0 == id).map(|line| line.1).sum();
    if wanted > number(product, "stock") {
        return Err(Fault::conflict("there is not enough in stock"));
    }
    let Some(limit) = product.get("limitPerCustomer").and_then(Value::as_i64) else { return Ok(()) };
    let bought = shop.row(
        "SELECT coalesce(sum(quantity), 0) AS bought FROM items JOIN orders ON orders.id = orderId
         WHERE userId = ?1 AND productId = ?2 AND status <> 'cancelled'",
        [user, id],
    )?;
    let bought = bought.map(|row| number(&row, "bought")).unwrap_or_default();
    if bought + wanted > limit {
        return Err(Fault::conflict(format!("one customer may buy {limit} of this product")));
    }
    Ok(())
}

/// Cancels an order that is not on its way.
pub(crate) fn cancel(shop: &Shop, request: &Request, order: &str) -> Result<Reply, Fault> {
    let row = find(shop, &caller(shop, request)?, order)?;
    let order = number(&row, "id");
    if !matches!(text(&row, "status"), "pending" | "paid") {
        return Err(Fault::conflict("this order can no longer be cancelled"));
    }
    shop.run("UPDATE orders SET status = 'cancelled' WHERE id = ?1", [order])?;
    shop.run(
        "UPDATE products SET stock = stock + (SELECT sum(quantity) FROM items WHERE orderId = ?1 AND productId = products.id)
         WHERE id IN (SELECT productId FROM items WHERE orderId = ?1)",
        [order],
    )?;
    Ok(Reply::ok(&view(shop, order)?))
}
