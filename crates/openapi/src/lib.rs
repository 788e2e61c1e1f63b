//! An OpenAPI document, compiled to a [`Contract`] that a gateway can ask about every call.
//!
//! Swagger 2.0 and OpenAPI 3.0, 3.1 and 3.2, in JSON or YAML. Reading is lenient: what is wrong with one node
//! is a [`Problem`] of that node. Enforcing is strict: an operation of which something cannot be enforced says
//! so in [`Operation::unenforced`], so that it can be refused instead of let through; what is about responses alone is
//! in [`Operation::unenforced_responses`].
//!
//! ```
//! use portcullis_openapi::{Checks, Contract, Options, Route, Security};
//!
//! let document = br#"
//! openapi: 3.0.3
//! info: { title: Orders, version: '1' }
//! servers: [{ url: https://api.example.com/v1 }]
//! paths:
//!   /orders/{id}:
//!     parameters:
//!       - { name: id, in: path, required: true, schema: { type: integer, minimum: 1 } }
//!     get:
//!       operationId: getOrder
//!       security: []
//!       parameters:
//!         - { name: expand, in: query, schema: { type: string, enum: [items] } }
//!       responses:
//!         '200': { description: ok }
//!     put:
//!       requestBody:
//!         required: true
//!         content:
//!           application/json:
//!             schema: { type: object, required: [total], properties: { total: { type: number } } }
//!       responses: { '204': { description: ok } }
//! "#;
//! // `Contract::load(uri, &Folder::new(dir), &options)` also reads the files that a document refers to.
//! let contract = Contract::parse("orders.yaml", document, &Options::default())?;
//! assert!(contract.problems().is_empty());
//!
//! // The path is the canonical one: unreserved characters decoded, everything else percent-encoded.
//! let Route::Found { operation, captures } = contract.route("GET", "/v1/orders/12", None) else { panic!() };
//! assert_eq!(contract.operations()[operation].id.as_deref(), Some("getOrder"));
//! assert_eq!(contract.operations()[operation].security, Security::AnyOf(Vec::new()));
//! let Route::MethodNotAllowed { allow } = contract.route("DELETE", "/v1/orders/12", None) else { panic!() };
//! assert_eq!(allow, "GET, HEAD, PUT");
//!
//! let headers = [("accept", b"*/*".as_slice())];
//! let violations =
//!     contract.check_request_head(operation, &captures, Some("expand=all"), headers.iter().copied(), Checks::default());
//! assert_eq!(violations[0].to_string(), "query `expand`: expected `items`");
//!
//! let Route::Found { operation, .. } = contract.route("PUT", "/v1/orders/12", None) else { panic!() };
//! let violations = contract.check_request_body(
//!     operation, Some("application/json"), br#"{"total": "12"}"#, Checks::default());
//! assert_eq!(violations[0].to_string(), "body at `/total`: expected a number");
//! # Ok::<(), portcullis_openapi::LoadError>(())
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`source`] | JSON and YAML text to a tree with spans |
//! | [`Contract::route`] | a method and a path to an operation |
//! | [`Contract::check_request_head`] … | a call against its operation |

mod build;
mod checks;
mod compare;
mod contract;
mod fetch;
mod filter;
mod json_body;
mod media;
mod merged;
mod model;
mod outline;
mod parameters;
mod problem;
mod report;
mod routes;
mod select;

mod schema;
mod sequence;
pub mod source;
mod texts;
mod xml;

pub use build::{References, Tree};
pub use checks::Checks;
pub use compare::Change;
pub use contract::{Contract, LoadError, Options};
pub use fetch::{Alone, Fetch, FetchError, Folder, PINNED, read_within};
pub use filter::{FilterError, Filtered, PropertyFilter};
pub use media::{BodyFormat, MediaRange, MediaType};
pub use model::{
    Encoding, In, Info, Media, Method, Operation, Parameter, Place, RequestBody, Requirement, Response,
    SchemeKind, SchemeUse, Security, SecurityScheme, Status, Style, Version,
};
pub use outline::Outline;
pub use problem::{Problem, Severity};
pub use report::{Location, MAX_NAME, MAX_POINTER, MAX_VIOLATIONS, Violation, ViolationKind};
pub use routes::{Captures, CaseOf, Route, TrailingSlash};
pub use schema::{BodyLimits, Direction, SchemaId};
pub use select::{Edit, Found, LenientName, Selector};
pub use texts::{Text, Texts};
