//! How the engine learns which operation a request is.

use std::fmt::Debug;

use http::Method;
use smallvec::SmallVec;

use crate::fields::Fields;

/// Where the parameters of a path template stand in the canonical path: byte spans, in template order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathParams {
    /// `(from, to)` in bytes.
    pub spans: SmallVec<[(u32, u32); 4]>,
}

/// What routing said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routed<'a> {
    /// An operation of the contract, by its index among the engine's plans.
    Operation {
        /// Index of the plan.
        index: usize,
        /// The path's parameters.
        params: PathParams,
    },
    /// The path is known, the method is not.
    MethodNotAllowed {
        /// The `Allow` field's value.
        allow: &'a str,
    },
    /// The path is unknown.
    Unknown,
}

/// A router over the contract's operations. Called once an exchange, with the canonical path.
pub trait Routes: Debug + Send + Sync {
    /// Which operation `method` on the canonical, percent-encoded `path` is. `query` matters only to contracts
    /// whose path templates hold one.
    fn route(&self, method: &Method, path: &str, query: Option<&str>) -> Routed<'_>;

    /// [`Routes::route`] for contracts that tell operations apart by a header as well (path keys such as
    /// `/#X-Target=Orders.List`).
    fn route_with(&self, method: &Method, path: &str, query: Option<&str>, _headers: &Fields) -> Routed<'_> {
        self.route(method, path, query)
    }
}

/// No contract: every path is unknown.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRoutes;

impl Routes for NoRoutes {
    fn route(&self, _: &Method, _: &str, _: Option<&str>) -> Routed<'_> {
        Routed::Unknown
    }
}
