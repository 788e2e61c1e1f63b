//! The engine's router over a contract.

use std::sync::Arc;

use http::Method;
use portcullis_engine::{Fields, PathParams, Routed, Routes};
use portcullis_openapi::{Contract, Route};

/// Routes by a contract; an operation's index is its plan's.
#[derive(Debug)]
pub(crate) struct ContractRoutes(pub(crate) Arc<Contract>);

impl Routes for ContractRoutes {
    fn route(&self, method: &Method, path: &str, query: Option<&str>) -> Routed<'_> {
        routed(path, self.0.route(method.as_str(), path, query))
    }

    fn route_with(&self, method: &Method, path: &str, query: Option<&str>, headers: &Fields) -> Routed<'_> {
        // A header that came twice could be read in two ways: then none counts.
        let header = |name: &str| {
            let mut values = headers.get_all(name);
            let first = values.next()?.to_str().ok()?;
            values.next().is_none().then_some(first)
        };
        routed(path, self.0.route_with(method.as_str(), path, query, header))
    }
}

fn routed<'c>(path: &str, route: Route<'c, '_>) -> Routed<'c> {
    match route {
        Route::Found { operation, captures } => {
            let span = |capture: &&str| {
                // Captures are parts of `path`: an offset is the distance of their starts.
                let from = (capture.as_ptr() as usize).saturating_sub(path.as_ptr() as usize);
                let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
                (at(from), at(from + capture.len()))
            };
            let params = PathParams { spans: captures.iter().map(span).collect() };
            Routed::Operation { index: operation, params }
        }
        Route::MethodNotAllowed { allow } => Routed::MethodNotAllowed { allow },
        Route::NotFound => Routed::Unknown,
    }
}
