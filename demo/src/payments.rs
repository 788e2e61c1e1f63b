//! Payments (API1, API3).

use crate::exchange::{Fault, Reply, Request};
use crate::session::caller;
use crate::shop::{Shop, id, number, page, public};
use serde_json::Value;

/// What no client should see of a payment.
const SECRET: &[&str] = &["cardNumber"];

/// A payment as a client sees it; in the weak twin with the whole card number.
pub(crate) fn view(shop: &Shop, payment: i64) -> Result<Value, Fault> {
    let row = shop.row("SELECT * FROM payments WHERE id = ?1", [payment])?;
    Ok(public(shop, row.ok_or_else(|| Fault::not_found("payment"))?, SECRET))
}

/// One payment; the weak twin shows anybody's.
pub(crate) fn get(shop: &Shop, request: &Request, payment: &str) -> Result<Reply, Fault> {
    let (caller, payment) = (caller(shop, request)?, id(payment, "payment")?);
    let missing = || Fault::not_found("payment");
    let row = shop.row("SELECT userId FROM payments WHERE id = ?1", [payment])?.ok_or_else(missing)?;
    caller.must_own(shop, number(&row, "userId"), missing())?;
    Ok(Reply::ok(&view(shop, payment)?))
}

/// The caller's payments.
pub(crate) fn list(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    let caller = caller(shop, request)?;
    let rows = shop.rows("SELECT id FROM payments WHERE userId = ?1 ORDER BY id", [caller.id])?;
    let views = rows.iter().map(|row| view(shop, number(row, "id"))).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::ok(&page(request, views)?))
}
