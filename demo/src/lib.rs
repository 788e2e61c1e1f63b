//! A shop API that is weak on purpose in every one of the OWASP API Security Top 10 (2023), and its fixed twin.
//!
//! It stands behind Portcullis in the demonstration and in tests. Never expose it: the weak twin gives its data to
//! anyone who asks. `README.md` lists every weakness, how to see it, and what the fixed twin does instead.
//!
//! - [`serve`] runs a shop on a listener; [`Mode`] says which twin.
//! - [`play`] plays ordinary users and attackers against any address, from the data in `scenarios/`.
//! - [`CONTRACT`] is the OpenAPI document of what the shop means to offer.

mod accounts;
mod admin;
mod backstage;
mod checkout;
mod exchange;
mod legacy;
mod orders;
mod outbound;
mod payments;
pub mod play;
mod products;
mod reviews;
mod router;
mod secrets;
mod seed;
mod server;
mod session;
mod shop;
mod users;

pub use server::{serve, serve_with};
pub use shop::Shop;

/// The OpenAPI 3.0.3 document (YAML) of the operations that the shop documents.
pub const CONTRACT: &str = include_str!("../openapi.yaml");
/// The ordinary users' steps (JSON); see [`play::Scenario`].
pub const ORDINARY: &str = include_str!("../scenarios/ordinary.json");
/// The attacks (JSON); see [`play::Suite`].
pub const ATTACKS: &str = include_str!("../scenarios/attacks.json");

/// Which of the two shops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Weak in every category.
    Weak,
    /// The same shop with every hole closed in its own code.
    Fixed,
}
