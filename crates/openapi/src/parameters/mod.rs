//! Parameters.
#[derive(Debug, Default)]
pub(crate) struct Decoder;
