//! URLs of the API, wherever somebody writes one: the ids in them stand where the contract says.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use portcullis_engine::canonical;
use portcullis_openapi::{Contract, LenientName, Route};

use crate::place::PathParameter;
use crate::rewrite::{self, readings};

/// By operation: where ids stand in its URLs.
pub(crate) type Table = Arc<OnceLock<Vec<Option<Arc<InUrl>>>>>;

/// Where ids stand in the URLs of an operation.
#[derive(Debug)]
pub(crate) struct InUrl {
    pub(super) path: Vec<(PathParameter, Spot)>,
    pub(super) query: Vec<(LenientName, Spot)>,
}

impl InUrl {
    pub(super) fn is_empty(&self) -> bool {
        self.path.is_empty() && self.query.is_empty()
    }
}

/// A place of an id.
#[derive(Debug)]
pub(crate) struct Spot {
    pub(super) kind: Arc<str>,
    /// The contract says that it is a number.
    pub(super) numeric: bool,
}

/// What becomes of the id at a place, which is given decoded.
type Put<'p, E> = &'p mut dyn FnMut(&Spot, &str) -> Result<Option<String>, E>;

/// Finds the operation that a URL leads to.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) contract: Arc<Contract>,
    pub(super) table: Table,
}

impl Links {
    /// `text` with what `put` says in the place of its ids, if it is a URL of this API: a path, or a URL at `authority`.
    pub(super) fn rewrite<E>(
        &self,
        text: &str,
        authority: &str,
        put: Put<'_, E>,
    ) -> Result<Option<String>, E> {
        let Some((prefix, rest)) = split(text, authority) else { return Ok(None) };
        let end = rest.find('#').unwrap_or(rest.len());
        let (target, fragment) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let target = Bytes::copy_from_slice(target.as_bytes());
        let Ok(canonical::Target { bytes, path_len, .. }) = canonical::target(&target, false) else {
            return Ok(None);
        };
        let Ok(target) = std::str::from_utf8(&bytes) else { return Ok(None) };
        let (path, query) = target.split_at_checked(path_len).unwrap_or((target, ""));
        let query = query.strip_prefix('?');
        let Some((places, captures)) = self.find(path, query) else { return Ok(None) };
        let mut put_anew = Vec::new();
        for (parameter, spot) in &places.path {
            let Some(raw) = parameter.of_captures(&captures) else { continue };
            let plain: Vec<u8> = crate::text::decode_path(raw).collect();
            let Ok(plain) = String::from_utf8(plain) else { continue };
            if let Some(new) = put(spot, &plain)? {
                // Captures are parts of `path`: an offset is the distance of their starts.
                let from = (raw.as_ptr() as usize).saturating_sub(path.as_ptr() as usize);
                put_anew.push((from, from + raw.len(), rewrite::encode(&new)));
            }
        }
        put_anew.sort_unstable();
        let new_query = match query {
            Some(query) => rewrite::pairs(query, |name, value| {
                let known = places.query.iter().find(|(known, _)| readings(name).any(|name| known.is(name)));
                match known.filter(|_| !value.is_empty()) {
                    Some((_, spot)) => put(spot, value),
                    None => Ok(None),
                }
            })?,
            None => None,
        };
        if put_anew.is_empty() && new_query.is_none() {
            return Ok(None);
        }
        let mut out = String::from(prefix);
        let mut at = 0;
        for (from, to, new) in put_anew {
            out.push_str(path.get(at..from).unwrap_or_default());
            out.push_str(&new);
            at = to;
        }
        out.push_str(path.get(at..).unwrap_or_default());
        if let Some(query) = new_query.as_deref().or(query) {
            out.push('?');
            out.push_str(query);
        }
        out.push_str(fragment);
        Ok(Some(out))
    }

    /// The places of the operation at `path`, whatever its method, and the path's parameters.
    fn find<'p>(
        &self,
        path: &'p str,
        query: Option<&str>,
    ) -> Option<(&InUrl, portcullis_openapi::Captures<'p>)> {
        let table = self.table.get()?;
        ["GET", "PUT", "PATCH", "DELETE", "POST"].iter().find_map(|method| {
            let Route::Found { operation, captures } = self.contract.route(method, path, query) else {
                return None;
            };
            Some((table.get(operation)?.as_deref()?, captures))
        })
    }
}

/// What stands before the path, and the rest; nothing for what is no URL of this API.
fn split<'t>(text: &'t str, authority: &str) -> Option<(&'t str, &'t str)> {
    if text.starts_with('/') {
        return (!text.starts_with("//")).then_some(("", text));
    }
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let end = host.find(['/', '?', '#']).unwrap_or(host.len());
    let own = host.get(..end)?.eq_ignore_ascii_case(authority);
    let at = text.len() - host.len() + end;
    (own && text.get(at..)?.starts_with('/')).then_some(())?;
    text.split_at_checked(at)
}
