//! Which handler answers what: a method and path segments lead to one operation, in one table.

use crate::exchange::{Fault, Reply, Request};
use crate::shop::Shop;
use crate::{accounts, admin, checkout, legacy, orders, payments, products, reviews, users};
use http::{Method, StatusCode};
use serde_json::json;

/// One thing the shop can do, with the ids out of the path.
#[derive(Debug, Clone, Copy)]
enum Operation<'a> {
    Health,
    Register,
    Login,
    Logout,
    RequestReset,
    ConfirmReset,
    GetUser(&'a str),
    UpdateUser(&'a str),
    FetchAvatar(&'a str),
    UploadAvatar(&'a str),
    GetAvatar(&'a str),
    ListProducts,
    ExportProducts,
    GetProduct(&'a str),
    ListReviews(&'a str),
    CreateReview(&'a str),
    PartnerFeed,
    CreateOrder,
    ListOrders,
    GetOrder(&'a str),
    CancelOrder(&'a str),
    ApplyCoupon(&'a str),
    ShippingQuote(&'a str),
    Checkout(&'a str),
    ListPayments,
    GetPayment(&'a str),
    AdminUsers,
    AdminStats,
    SetRole(&'a str),
    RemoveReview(&'a str),
    OldUser(&'a str),
    OldOrder(&'a str),
    OldProducts,
    Debug,
    ExportOrders,
}

fn route<'a>(method: &str, path: &[&'a str], fixed: bool) -> Option<Operation<'a>> {
    use Operation as O;
    Some(match (method, path) {
        ("GET", ["health"]) => O::Health,
        ("POST", ["v2", "register"]) => O::Register,
        ("POST", ["v2", "login"]) => O::Login,
        ("POST", ["v2", "logout"]) => O::Logout,
        ("POST", ["v2", "password-reset"]) => O::RequestReset,
        ("POST", ["v2", "password-reset", "confirm"]) => O::ConfirmReset,
        ("GET", ["v2", "users", user]) => O::GetUser(user),
        ("PATCH", ["v2", "users", user]) => O::UpdateUser(user),
        ("POST", ["v2", "users", user, "avatar"]) => O::FetchAvatar(user),
        ("PUT", ["v2", "users", user, "avatar"]) => O::UploadAvatar(user),
        ("GET", ["v2", "users", user, "avatar"]) => O::GetAvatar(user),
        ("GET", ["v2", "products"]) => O::ListProducts,
        ("GET", ["v2", "products", "export"]) => O::ExportProducts,
        ("GET", ["v2", "products", product]) => O::GetProduct(product),
        ("GET", ["v2", "products", product, "reviews"]) => O::ListReviews(product),
        ("POST", ["v2", "products", product, "reviews"]) => O::CreateReview(product),
        ("GET", ["v2", "partner", "catalogue"]) => O::PartnerFeed,
        ("POST", ["v2", "orders"]) => O::CreateOrder,
        ("GET", ["v2", "orders"]) => O::ListOrders,
        ("GET", ["v2", "orders", "export"]) if !fixed => O::ExportOrders,
        ("GET", ["v2", "orders", order]) => O::GetOrder(order),
        ("POST", ["v2", "orders", order, "cancel"]) => O::CancelOrder(order),
        ("POST", ["v2", "orders", order, "coupon"]) => O::ApplyCoupon(order),
        ("GET", ["v2", "orders", order, "shipping-quote"]) => O::ShippingQuote(order),
        ("POST", ["v2", "orders", order, "checkout"]) => O::Checkout(order),
        ("GET", ["v2", "payments"]) => O::ListPayments,
        ("GET", ["v2", "payments", payment]) => O::GetPayment(payment),
        ("GET", ["v2", "admin", "users"]) => O::AdminUsers,
        ("GET", ["v2", "admin", "stats"]) => O::AdminStats,
        ("PUT", ["v2", "admin", "users", user, "role"]) => O::SetRole(user),
        ("DELETE", ["v2", "admin", "reviews", review]) => O::RemoveReview(review),
        ("GET", ["v1", "users", user]) => O::OldUser(user),
        ("GET", ["v1", "orders", order]) => O::OldOrder(order),
        ("GET", ["v1", "products"]) => O::OldProducts,
        ("GET", ["internal", "debug"]) if !fixed => O::Debug,
        _ => return None,
    })
}

/// Answers a request. The weak twin lets a header change the method (what stands in front of it sees another one)
/// and echoes TRACE.
pub(crate) async fn handle(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    if !shop.fixed() && request.method == Method::TRACE {
        let headers: String = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        let echo = format!("TRACE {} HTTP/1.1\r\n{headers}\r\n", request.target);
        return Ok(Reply::bytes(StatusCode::OK, "message/http", echo.into()));
    }
    let overridden = request.header("x-http-method-override").filter(|_| !shop.fixed());
    let method = overridden.unwrap_or(request.method.as_str());
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    match route(method, &segments, shop.fixed()) {
        Some(operation) => run(shop, request, operation).await,
        None => Err(unknown(&segments, shop.fixed())),
    }
}

async fn run(shop: &Shop, request: &Request, operation: Operation<'_>) -> Result<Reply, Fault> {
    use Operation as O;
    match operation {
        O::Health => Ok(Reply::ok(&json!({ "status": "ok" }))),
        O::Register => accounts::register(shop, request),
        O::Login => accounts::login(shop, request),
        O::Logout => accounts::logout(shop, request),
        O::RequestReset => accounts::request_reset(shop, request),
        O::ConfirmReset => accounts::confirm_reset(shop, request),
        O::GetUser(user) => users::get(shop, request, user),
        O::UpdateUser(user) => users::update(shop, request, user),
        O::FetchAvatar(user) => users::fetch_avatar(shop, request, user).await,
        O::UploadAvatar(user) => users::upload_avatar(shop, request, user),
        O::GetAvatar(user) => users::avatar(shop, request, user),
        O::ListProducts => products::list(shop, request),
        O::ExportProducts => products::export(shop, request),
        O::GetProduct(product) => products::get(shop, product),
        O::ListReviews(product) => reviews::list(shop, request, product),
        O::CreateReview(product) => reviews::create(shop, request, product),
        O::PartnerFeed => products::partner_feed(shop, request),
        O::CreateOrder => orders::create(shop, request),
        O::ListOrders => orders::list(shop, request),
        O::GetOrder(order) => orders::get(shop, request, order),
        O::CancelOrder(order) => orders::cancel(shop, request, order),
        O::ApplyCoupon(order) => checkout::coupon(shop, request, order),
        O::ShippingQuote(order) => checkout::shipping(shop, request, order).await,
        O::Checkout(order) => checkout::pay(shop, request, order),
        O::ListPayments => payments::list(shop, request),
        O::GetPayment(payment) => payments::get(shop, request, payment),
        O::AdminUsers => admin::users(shop, request),
        O::AdminStats => admin::stats(shop, request),
        O::SetRole(user) => admin::set_role(shop, request, user),
        O::RemoveReview(review) => reviews::remove(shop, request, review),
        O::OldUser(user) => legacy::user(shop, user),
        O::OldOrder(order) => legacy::order(shop, order),
        O::OldProducts => legacy::products(shop, request),
        O::Debug => legacy::debug(shop),
        O::ExportOrders => legacy::export_orders(shop),
    }
}

fn unknown(segments: &[&str], fixed: bool) -> Fault {
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let known = methods.into_iter().any(|method| route(method, segments, fixed).is_some());
    if known {
        return Fault::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this cannot be done here");
    }
    Fault::not_found("page")
}

/// The methods that a path knows, for `Allow`.
pub(crate) fn allowed(segments: &[String], fixed: bool) -> String {
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let known: Vec<&str> =
        methods.into_iter().filter(|method| route(method, &segments, fixed).is_some()).collect();
    known.join(", ")
}

/// The segments of a path, decoded. The weak twin decodes first, and then walks up on `..`, skips empty segments
/// and drops what follows a `;`, so that what stands in front of it may see another path than it serves.
pub(crate) fn segments(path: &str, fixed: bool) -> Vec<String> {
    if fixed {
        return path.strip_prefix('/').unwrap_or(path).split('/').map(percent_decode).collect();
    }
    let decoded = percent_decode(path);
    let mut segments: Vec<String> = Vec::new();
    for segment in decoded.split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            plain => segments.push(plain.to_owned()),
        }
    }
    segments
}

/// The parameters of a query, decoded; `+` is a space.
pub(crate) fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(&name.replace('+', " ")), percent_decode(&value.replace('+', " ")))
        })
        .collect()
}

/// Percent-decoding; what is no valid escape stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = tail.get(..2).filter(|hex| *first == b'%' && hex.iter().all(u8::is_ascii_hexdigit));
        let value = escape
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{percent_decode, query, segments};

    #[test]
    fn only_the_weak_twin_walks_a_path() {
        let tricky = "/v2/products/%2e%2e//admin;x/stats";
        assert_eq!(segments(tricky, false), ["v2", "admin", "stats"]);
        assert_eq!(segments(tricky, true), ["v2", "products", "..", "", "admin;x", "stats"]);
        assert_eq!(segments("/../..", false), [""; 0]);
    }

    #[test]
    fn queries_are_split_then_decoded() {
        assert_eq!(query("q=a%26b+c&&x"), [("q".into(), "a&b c".into()), ("x".into(), String::new())]);
    }

    #[test]
    fn only_escapes_are_decoded() {
        assert_eq!(percent_decode("a%20b%2Fc%25"), "a b/c%");
        assert_eq!(percent_decode("%"), "%");
        assert_eq!(percent_decode("%2"), "%2");
        assert_eq!(percent_decode("%+1"), "%+1");
        assert_eq!(percent_decode("%zz%41"), "%zzA");
        assert_eq!(percent_decode("%ff"), "\u{fffd}");
    }
}
