//! Documents to contracts.
use crate::contract::{Contract, LoadError, Options};
use crate::fetch::Fetch;

pub(crate) fn build(
    name: &str,
    bytes: &[u8],
    fetch: &dyn Fetch,
    options: &Options,
) -> Result<Contract, LoadError> {
    let _ = (bytes, fetch, options);
    Err(LoadError::Fetch(crate::FetchError { what: format!("`{name}`: not yet") }))
}
