//! Goods: list and search, one product, the export, the partner feed (API3, API4, SQL injection).

use crate::exchange::{Fault, Reply, Request};
use crate::session::caller;
use crate::shop::{Row, Shop, id, number, page, public, text};
use bytes::Bytes;
use http::StatusCode;
use rusqlite::params;
use serde_json::{Value, json};

/// What no customer should see of a product.
const SECRET: &[&str] = &["costCents", "supplier"];
const LISTED: &str = "id, name, category, priceCents, stock, weightGrams, limitPerCustomer";

/// Lists and searches. The weak twin writes `q`, `category` and `sort` into its SQL and knows no page limit.
pub(crate) fn list(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    let q = request.param("q").unwrap_or_default();
    let category = request.param("category").unwrap_or_default();
    let sort = request.param("sort").unwrap_or("id");
    let (column, direction) = sort.strip_prefix('-').map_or((sort, "ASC"), |column| (column, "DESC"));
    let rows = if shop.fixed() {
        if q.chars().count() > 100 || category.len() > 20 {
            return Err(Fault::bad("`q` may have 100 characters, `category` 20"));
        }
        let column = ["id", "name", "priceCents"].into_iter().find(|known| *known == column);
        let column =
            column.ok_or_else(|| Fault::bad("`sort` is one of id, name, priceCents, -priceCents"))?;
        let sql = format!(
            "SELECT {LISTED} FROM products WHERE instr(lower(name), lower(?1)) > 0 AND (?2 = '' OR category = ?2)
             ORDER BY {column} {direction}, id"
        );
        shop.rows(&sql, params![q, category])?
    } else {
        let filter =
            if category.is_empty() { String::new() } else { format!("category = '{category}' AND ") };
        let sql = format!(
            "SELECT {LISTED} FROM products WHERE {filter}name LIKE '%{q}%' ORDER BY {column} {direction}, id"
        );
        shop.rows(&sql, [])?
    };
    Ok(Reply::ok(&page(request, rows.into_iter().map(Value::Object).collect())?))
}

/// One product. The weak twin writes the id into its SQL and shows what the product cost the shop.
pub(crate) fn get(shop: &Shop, product: &str) -> Result<Reply, Fault> {
    let found = if shop.fixed() {
        shop.row("SELECT * FROM products WHERE id = ?1", [id(product, "product")?])?
    } else {
        shop.row(&format!("SELECT * FROM products WHERE id = {product}"), [])?
    };
    Ok(Reply::ok(&public(shop, found.ok_or_else(|| Fault::not_found("product"))?, SECRET)))
}

/// All goods as a file for spreadsheets or programs. The weak twin puts the shop's own columns in as well.
pub(crate) fn export(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    caller(shop, request)?;
    let columns = if shop.fixed() { "id, name, priceCents" } else { "*" };
    let rows = shop.rows(&format!("SELECT {columns} FROM products ORDER BY id LIMIT 500"), [])?;
    match request.param("format").unwrap_or("json") {
        "json" => Ok(Reply::ok(&json!({ "items": rows }))),
        "csv" => Ok(Reply::bytes(StatusCode::OK, "text/csv", Bytes::from(csv(&rows)))),
        _ if shop.fixed() => Err(Fault::bad("`format` is json or csv")),
        other => Err(Fault::broken(format!(
            "no exporter {other}: template /srv/shop/export/{other}.tpl not found"
        ))),
    }
}

/// What a partner shop may sell on: for partner applications, not for users.
pub(crate) fn partner_feed(shop: &Shop, request: &Request) -> Result<Reply, Fault> {
    let sql = format!("SELECT {LISTED} FROM products WHERE limitPerCustomer IS NULL ORDER BY id");
    let rows = shop.rows(&sql, [])?;
    Ok(Reply::ok(&page(request, rows.into_iter().map(Value::Object).collect())?))
}

/// Rows as comma-separated text; a cell that a spreadsheet would run as a formula is quoted as text.
pub(crate) fn csv(rows: &[Row]) -> String {
    let mut lines = Vec::with_capacity(rows.len() + 1);
    if let Some(first) = rows.first() {
        lines.push(first.keys().cloned().collect::<Vec<_>>().join(","));
    }
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .map(|(column, value)| match value {
                Value::String(_) => {
                    let cell = text(row, column).replace('"', "\"\"");
                    let guard = if cell.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
                    format!("\"{guard}{cell}\"")
                }
                Value::Null => String::new(),
                _ => number(row, column).to_string(),
            })
            .collect();
        lines.push(cells.join(","));
    }
    lines.join("\r\n") + "\r\n"
}
