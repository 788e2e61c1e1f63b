//! The same shop every time: tables, people, goods, orders, payments. Every number is invented; the card numbers
//! are the card networks' public test numbers.

use crate::{Mode, secrets};
use rusqlite::{Connection, params};
use std::io;

const TABLES: &str = "
CREATE TABLE calendar (minutes INTEGER NOT NULL);
INSERT INTO calendar VALUES (0);
CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT UNIQUE NOT NULL, email TEXT NOT NULL, displayName TEXT NOT NULL,
  address TEXT NOT NULL, role TEXT NOT NULL, creditCents INTEGER NOT NULL, passwordHash TEXT NOT NULL, createdAt TEXT NOT NULL);
CREATE TABLE resets (userId INTEGER NOT NULL, code TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0);
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, priceCents INTEGER NOT NULL,
  stock INTEGER NOT NULL, weightGrams INTEGER NOT NULL, limitPerCustomer INTEGER, costCents INTEGER NOT NULL, supplier TEXT NOT NULL);
CREATE TABLE reviews (id INTEGER PRIMARY KEY, productId INTEGER NOT NULL, author TEXT NOT NULL, stars INTEGER NOT NULL,
  text TEXT NOT NULL, createdAt TEXT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, userId INTEGER NOT NULL, status TEXT NOT NULL, subtotalCents INTEGER NOT NULL,
  discountCents INTEGER NOT NULL DEFAULT 0, shippingCents INTEGER NOT NULL DEFAULT 0, totalCents INTEGER NOT NULL,
  deliveryNote TEXT NOT NULL, createdAt TEXT NOT NULL, fraudScore INTEGER NOT NULL DEFAULT 3);
CREATE TABLE items (orderId INTEGER NOT NULL, productId INTEGER NOT NULL, quantity INTEGER NOT NULL, priceCents INTEGER NOT NULL);
CREATE TABLE coupons (code TEXT PRIMARY KEY, percent INTEGER NOT NULL);
CREATE TABLE redemptions (code TEXT NOT NULL, userId INTEGER NOT NULL);
CREATE TABLE payments (id INTEGER PRIMARY KEY, orderId INTEGER NOT NULL, userId INTEGER NOT NULL, amountCents INTEGER NOT NULL,
  status TEXT NOT NULL, cardHolder TEXT NOT NULL, cardLast4 TEXT NOT NULL, cardNumber TEXT NOT NULL, createdAt TEXT NOT NULL);
CREATE TABLE quotes (id INTEGER PRIMARY KEY, orderId INTEGER NOT NULL, carrier TEXT NOT NULL, priceCents INTEGER NOT NULL,
  days INTEGER NOT NULL);
CREATE TABLE avatars (userId INTEGER PRIMARY KEY, contentType TEXT NOT NULL, data BLOB NOT NULL);
";

/// username, display name, address, role, credit, password
const USERS: [(&str, &str, &str, &str, i64, &str); 5] = [
    ("alice", "Alice Alder", "12 Alder Lane, Northport", "customer", 1500, "alder-Lane-12"),
    ("bob", "Bob Birch", "7 Birch Road, Eastport", "customer", 0, "birch-Road-7"),
    ("carol", "Carol Cedar", "3 Cedar Close, Westport", "customer", 4200, "cedar-Close-3"),
    ("root", "Shop Keeper", "1 Harbour Square, Northport", "admin", 0, "keeper-Of-The-Harbour"),
    ("dora", "Dora Dogwood", "9 Dogwood Drive, Southport", "customer", 250, "dogwood-Drive-9"),
];

const KINDS: [(&str, &str, i64, i64); 12] = [
    ("Lantern", "lighting", 2990, 800),
    ("Teapot", "kitchen", 1890, 950),
    ("Rucksack", "travel", 6490, 1200),
    ("Notebook", "paper", 690, 250),
    ("Fountain Pen", "paper", 3290, 60),
    ("Blanket", "home", 4590, 1400),
    ("Wall Clock", "home", 3890, 900),
    ("Camp Stove", "travel", 5290, 700),
    ("Bread Knife", "kitchen", 2490, 300),
    ("Desk Lamp", "lighting", 4190, 1600),
    ("Chess Set", "games", 5990, 2100),
    ("Jigsaw", "games", 1690, 750),
];

const STYLES: [&str; 20] = [
    "Oak", "Brass", "Copper", "Linen", "Harbour", "Winter", "Summer", "Classic", "Pocket", "Grand", "Slate",
    "Amber", "Cobalt", "Ivory", "Moss", "Rust", "Willow", "Granite", "Coral", "Ember",
];

/// Creates the tables and fills them.
pub(crate) fn fill(db: &mut Connection, mode: Mode) -> io::Result<()> {
    let passwords = USERS
        .iter()
        .map(|user| match mode {
            Mode::Weak => Ok(secrets::weak_hash(user.5)),
            Mode::Fixed => secrets::strong_hash(user.5),
        })
        .collect::<io::Result<Vec<_>>>()?;
    write(db, &passwords).map_err(io::Error::other)
}

fn write(db: &mut Connection, passwords: &[String]) -> rusqlite::Result<()> {
    let db = db.transaction()?;
    db.execute_batch(TABLES)?;
    for ((username, display_name, address, role, credit, _), hash) in USERS.iter().zip(passwords) {
        db.execute(
            "INSERT INTO users (username, email, displayName, address, role, creditCents, passwordHash, createdAt)
             VALUES (?1, ?1 || '@shop.example', ?2, ?3, ?4, ?5, ?6, '2025-11-03T08:00:00Z')",
            params![username, display_name, address, role, credit, hash],
        )?;
    }
    for (round, style) in STYLES.iter().enumerate() {
        for (place, (kind, category, price, weight)) in KINDS.iter().enumerate() {
            let spread = i64::try_from(round * 7 + place * 3).unwrap_or_default();
            let limit = (*kind == "Chess Set").then_some(2);
            db.execute(
                "INSERT INTO products (name, category, priceCents, stock, weightGrams, limitPerCustomer, costCents, supplier)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?3 * 55 / 100, ?7)",
                params![
                    format!("{style} {kind}"),
                    category,
                    price + spread * 10,
                    40 + spread % 30,
                    weight,
                    limit,
                    format!("supplier-{:02}", spread % 17)
                ],
            )?;
        }
    }
    db.execute_batch(
        "INSERT INTO orders (id, userId, status, subtotalCents, totalCents, deliveryNote, createdAt) VALUES
           (1001, 1, 'paid',    2990, 2990, 'Leave it with Mrs Elm at number 14', '2025-12-01T10:00:00Z'),
           (1002, 2, 'pending', 1890, 1890, 'Ring twice, the bell is shy',        '2025-12-02T11:00:00Z'),
           (1003, 3, 'shipped', 6490, 6490, 'Behind the green gate',              '2025-12-03T12:00:00Z'),
           (1004, 1, 'pending', 4590, 4590, 'Not before ten',                     '2025-12-04T13:00:00Z');
         INSERT INTO items VALUES (1001, 1, 1, 2990), (1002, 2, 1, 1890), (1003, 3, 1, 6490), (1004, 6, 1, 4590);
         INSERT INTO payments VALUES
           (5001, 1001, 1, 2990, 'captured', 'Alice Alder', '1111', '4111111111111111', '2025-12-01T10:05:00Z'),
           (5002, 1003, 3, 6490, 'captured', 'Carol Cedar', '4444', '5555555555554444', '2025-12-03T12:05:00Z');
         INSERT INTO reviews (productId, author, stars, text, createdAt) VALUES
           (1, 'alice', 5, 'Lights the whole porch.', '2025-12-05T10:00:00Z'),
           (1, 'carol', 4, 'Warm light, heavy handle.', '2025-12-06T10:00:00Z'),
           (2, 'bob', 3, 'Pours a little to the left.', '2025-12-07T10:00:00Z');
         INSERT INTO coupons VALUES ('WELCOME10', 10), ('WINTER25', 25);
         INSERT INTO resets (userId, code) VALUES (5, 'kq7vs2nd9wzt4hxe');",
    )?;
    db.commit()
}
