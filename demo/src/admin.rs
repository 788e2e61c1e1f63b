//! The admin corner. The weak twin asks only that somebody is logged in (API5).

use crate::exchange::{Fault, Reply, Request};
use crate::session::caller;
use crate::shop::{Shop, id, page, public};
use crate::users::SECRET;
use rusqlite::params;
use serde_json::{Value, json};

/// Everybody with an account.
pub(crate) fn users(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    caller(shop, request)?.must_be_admin(shop)?;
    let rows = shop.rows("SELECT * FROM users ORDER BY id", [])?;
    let users = rows.into_iter().map(|row| public(shop, row, SECRET)).collect();
    Ok(Reply::ok(&page(request, users)?))
}

/// What the shop earns.
pub(crate) fn stats(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    caller(shop, request)?.must_be_admin(shop)?;
    let row = shop.row(
        "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM orders) AS orders,
           (SELECT coalesce(sum(amountCents), 0) FROM payments) AS revenueCents,
           (SELECT sum(stock * costCents) FROM products) AS stockValueCents",
        [],
    )?;
    Ok(Reply::ok(&json!(row)))
}

/// Gives a user another role.
pub(crate) fn set_role(shop: &Shop, request: &Request, user: &str) -> Result<Reply, Fault> {
    caller(shop, request)?.must_be_admin(shop)?;
    let user = id(user, "user")?;
    let fields = request.fields(&["role"])?;
    let role = fields.text("role", 4, 10)?;
    if !["customer", "support", "admin"].contains(&role) {
        return Err(Fault::bad("`role` is one of customer, support, admin"));
    }
    let row = shop.row("UPDATE users SET role = ?1 WHERE id = ?2 RETURNING *", params![role, user])?;
    let row: Value = public(shop, row.ok_or_else(|| Fault::not_found("user"))?, SECRET);
    Ok(Reply::ok(&row))
}
