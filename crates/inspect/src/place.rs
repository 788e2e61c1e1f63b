//! Where a value stands in a request.

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Place {
    /// A parameter of the query string.
    #[default]
    Query,
    /// A part of the path.
    Path,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
    /// A field of a form.
    Form,
    /// A string in a structured body: JSON, XML, GraphQL.
    Body,
    /// A name: of a parameter, of a member.
    Name,
}

impl Place {
    /// Whether a line break in it is unusual: one line is what clients send there.
    pub(crate) fn is_one_line(self) -> bool {
        !matches!(self, Place::Body | Place::Form)
    }
}
