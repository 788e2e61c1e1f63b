//! From an order to a paid order: coupons, the shipping quote of a partner, payment (API6, API10).

use crate::exchange::{Fault, Reply, Request};
use crate::orders::{find, view};
use crate::outbound;
use crate::session::caller;
use crate::shop::{Row, Shop, number, text};
use http::StatusCode;
use rusqlite::params;
use serde_json::{Value, json};

/// The dearest shipping that the fixed twin believes.
const DEAREST: i64 = 20_000;

fn must_be_open(order: &Row) -> Result<(), Fault> {
    if text(order, "status") == "pending" {
        return Ok(());
    }
    Err(Fault::conflict("this order is not open any more"))
}

/// Takes a coupon off the price. The weak twin takes the same coupon as often as it comes.
pub(crate) fn coupon(shop: &Shop, request: &Request, order: &str) -> Result<Reply, Fault> {
    let caller = caller(shop, request)?;
    let order = find(shop, &caller, order)?;
    must_be_open(&order)?;
    let fields = request.fields(&["code"])?;
    let code = fields.text("code", 4, 20)?;
    shop.attempt(format!("coupon {}", caller.id), 10)?;
    let coupon = shop.row("SELECT code, percent FROM coupons WHERE code = ?1", [code])?;
    let coupon = coupon.ok_or_else(|| Fault::not_found("coupon"))?;
    let (id, user) = (number(&order, "id"), number(&order, "userId"));
    if shop.fixed() {
        let used = shop
            .row("SELECT 1 AS used FROM redemptions WHERE code = ?1 AND userId = ?2", params![code, user])?;
        if used.is_some() || number(&order, "discountCents") > 0 {
            return Err(Fault::conflict("one coupon an order, and each coupon once"));
        }
    }
    shop.run("INSERT INTO redemptions VALUES (?1, ?2)", params![code, user])?;
    shop.run(
        "UPDATE orders SET discountCents = discountCents + subtotalCents * ?1 / 100,
           totalCents = totalCents - subtotalCents * ?1 / 100 WHERE id = ?2",
        [number(&coupon, "percent"), id],
    )?;
    Ok(Reply::ok(&view(shop, id)?))
}

/// Asks the shipping partner what delivery costs, and adds it to the order. The weak twin believes the partner:
/// its price without bounds, its words as a part of the SQL, wherever it redirects to, however long it takes and says.
pub(crate) async fn shipping(shop: &Shop, request: &Request, order: &str) -> Result<Reply, Fault> {
    let order = find(shop, &caller(shop, request)?, order)?;
    must_be_open(&order)?;
    let id = number(&order, "id");
    let postcode = request.param("postcode").unwrap_or_default();
    let plain = postcode.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if !(3..=8).contains(&postcode.len()) || !plain {
        return Err(Fault::bad("`postcode` has 3 to 8 capital letters and digits"));
    }
    let url = format!("http://shipping.partner.example/quote?postcode={postcode}");
    let trust = if shop.fixed() { outbound::Trust::little(0) } else { outbound::Trust::blind() };
    let fetched = outbound::get(shop, &url, trust).await?;
    let refused =
        || Fault::new(StatusCode::BAD_GATEWAY, "partner_failed", "the shipping partner gave no usable price");
    let answer: Value = serde_json::from_slice(&fetched.body).map_err(|_| refused())?;
    let carrier = answer.get("carrier").and_then(Value::as_str).ok_or_else(refused)?;
    let price = answer.get("priceCents").and_then(Value::as_i64).ok_or_else(refused)?;
    let days = answer.get("days").and_then(Value::as_i64).ok_or_else(refused)?;
    if shop.fixed() {
        let known = ["Swift Parcel", "Harbour Freight"].contains(&carrier);
        if !known || !(0..=DEAREST).contains(&price) || !(1..=60).contains(&days) {
            return Err(refused());
        }
        let sql = "INSERT INTO quotes (orderId, carrier, priceCents, days) VALUES (?1, ?2, ?3, ?4)";
        shop.run(sql, params![id, carrier, price, days])?;
    } else {
        let sql = format!(
            "INSERT INTO quotes (orderId, carrier, priceCents, days) VALUES ({id}, '{carrier}', {price}, {days})"
        );
        shop.run(&sql, [])?;
    }
    shop.run(
        "UPDATE orders SET shippingCents = ?1, totalCents = totalCents - shippingCents + ?1 WHERE id = ?2",
        [price, id],
    )?;
    let quote = shop.row(
        "SELECT orderId, carrier, priceCents, days FROM quotes WHERE orderId = ?1 ORDER BY id DESC LIMIT 1",
        [id],
    )?;
    Ok(Reply::ok(&json!(quote)))
}

/// Pays. The card number is kept whole by the weak twin and cut to its last four digits by the fixed one.
pub(crate) fn pay(shop: &Shop, request: &Request, order: &str) -> Result<Reply, Fault> {
    let caller = caller(shop, request)?;
    let order = find(shop, &caller, order)?;
    must_be_open(&order)?;
    let fields = request.fields(&["cardNumber", "cardHolder", "expiry"])?;
    let (card, holder) = (fields.text("cardNumber", 12, 19)?, fields.text("cardHolder", 2, 60)?);
    fields.text("expiry", 5, 5)?;
    if !luhn(card) {
        return Err(Fault::bad("`cardNumber` is not a card number"));
    }
    let last4: String = card.chars().skip(card.chars().count().saturating_sub(4)).collect();
    let kept = if shop.fixed() { last4.as_str() } else { card };
    let (id, user, amount) = (number(&order, "id"), number(&order, "userId"), number(&order, "totalCents"));
    let payment = shop.insert(
        "INSERT INTO payments (orderId, userId, amountCents, status, cardHolder, cardLast4, cardNumber, createdAt)
         VALUES (?1, ?2, ?3, 'captured', ?4, ?5, ?6, ?7)",
        params![id, user, amount, holder, last4, kept, shop.now()?],
    )?;
    shop.run("UPDATE orders SET status = 'paid' WHERE id = ?1", [id])?;
    Ok(Reply::json(StatusCode::CREATED, &crate::payments::view(shop, payment)?))
}

/// The check digit of a card number (ISO/IEC 7812-1 annex B).
fn luhn(card: &str) -> bool {
    let sum = card.bytes().rev().enumerate().try_fold(0_u32, |sum, (place, byte)| {
        let digit = char::from(byte).to_digit(10)?;
        let doubled = if place % 2 == 1 { digit * 2 } else { digit };
        Some(sum + doubled / 10 + doubled % 10)
    });
    card.len() >= 12 && sum.is_some_and(|sum| sum % 10 == 0)
}

#[cfg(test)]
mod tests {
    use super::luhn;

    #[test]
    fn luhn_takes_test_cards_only() {
        assert!(luhn("4111111111111111") && luhn("5555555555554444") && luhn("378282246310005"));
        assert!(!luhn("4111111111111112") && !luhn("") && !luhn("0") && !luhn("4111-1111-1111-1111"));
    }
}
