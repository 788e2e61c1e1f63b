//! What a document says, whichever version it is written in.

use std::fmt;

use crate::media::{BodyFormat, MediaRange};
use crate::parameters::Decoder;
use crate::problem::Problem;
use crate::schema::SchemaId;

/// The specification that a document follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Swagger 2.0.
    Swagger2,
    /// OpenAPI 3.0.
    OpenApi30,
    /// OpenAPI 3.1.
    OpenApi31,
    /// OpenAPI 3.2.
    OpenApi32,
}

impl Version {
    /// Whether schemas are JSON Schema 2020-12 without a dialect of OpenAPI's own.
    pub(crate) fn is_json_schema(self) -> bool {
        matches!(self, Self::OpenApi31 | Self::OpenApi32)
    }
}

/// What a document says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The specification.
    pub version: Version,
    /// `info.title`.
    pub title: Box<str>,
    /// `info.version`: the API's own version.
    pub api_version: Box<str>,
    /// The servers' URLs as written, variables replaced by their defaults.
    pub servers: Vec<Box<str>>,
}

/// A request method.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of RFC 9110")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    /// OpenAPI 3.2.
    Query,
    /// OpenAPI 3.2 `additionalOperations`.
    Other(Box<str>),
}

impl Method {
    /// The method as it is on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Query => "QUERY",
            Self::Other(name) => name,
        }
    }

    /// The method that a key of a path item names.
    pub(crate) fn from_key(key: &str) -> Option<Self> {
        Some(match key {
            "get" => Self::Get,
            "head" => Self::Head,
            "post" => Self::Post,
            "put" => Self::Put,
            "patch" => Self::Patch,
            "delete" => Self::Delete,
            "options" => Self::Options,
            "trace" => Self::Trace,
            "query" => Self::Query,
            _ => return None,
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One method on one path template.
#[derive(Debug)]
pub struct Operation {
    /// Where it stands in the description.
    pub place: Place,
    /// The method.
    pub method: Method,
    /// The path key as written, without a base path.
    pub path: Box<str>,
    /// `operationId`.
    pub id: Option<Box<str>>,
    /// Tags, in the order written.
    pub tags: Vec<Box<str>>,
    /// `summary`.
    pub summary: Option<Box<str>>,
    /// `deprecated`.
    pub deprecated: bool,
    /// `x-sunset`: the date after which it is gone, as written.
    pub sunset: Option<Box<str>>,
    /// Parameters, those of the path item included.
    pub parameters: Vec<Parameter>,
    /// The request body, if one is described.
    pub body: Option<RequestBody>,
    /// The responses: exact statuses first, then classes, then `default`.
    pub responses: Vec<Response>,
    /// Who may call.
    pub security: Security,
    /// Members that start with `x-`.
    pub extensions: Vec<(Box<str>, serde_json::Value)>,
    /// What the document says about this operation that cannot be enforced. If it is not empty, a gateway
    /// that enforces the contract has to refuse the operation's calls.
    pub unenforced: Vec<Problem>,
    /// What it says about responses that cannot be enforced, beside that. Requests are judged in full; a gateway that
    /// refuses responses which are not as described has to refuse the operation's calls.
    pub unenforced_responses: Vec<Problem>,
    /// Names of the parameters in [`Operation::path`], in the order in which they stand there. A route's
    /// captures end with these; those of a base path come before.
    pub captures: Vec<Box<str>>,
    /// For each capture, the parameter that describes it.
    pub(crate) capture_parameters: Vec<Option<usize>>,
    /// `name=value` pairs that the path key demands after `?` or `#`.
    pub(crate) fixed_query: Vec<Fixed>,
    /// Those of them that stand in headers.
    pub(crate) fixed_headers: Vec<Fixed>,
    /// The whole query string as one value.
    pub(crate) query_string: Option<Box<QueryString>>,
    /// Query, header and cookie names that credentials of this operation may use.
    pub(crate) credential_names: Vec<(In, Box<str>)>,
}

/// The parameter `in: querystring` of OpenAPI 3.2.
#[derive(Debug)]
pub(crate) struct QueryString {
    pub(crate) name: Box<str>,
    pub(crate) required: bool,
    pub(crate) media: Media,
}

/// Where something stands in the files of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named at loading.
    pub source: Box<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.line, self.column)
    }
}

/// A name that a call must have, and its value if that is fixed too.
pub(crate) type Fixed = (Box<str>, Option<Box<str>>);

impl Operation {
    /// `METHOD /path`: the operation's name where it has no id.
    pub fn label(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether a request's body must be read to check it.
    pub fn reads_request_body(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.content.iter().any(Media::is_checked))
    }

    /// Whether a response's body must be read to check it.
    pub fn reads_response_body(&self) -> bool {
        self.responses.iter().any(|response| response.content.iter().any(Media::is_checked))
    }
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum In {
    /// A part of the path.
    Path,
    /// The query string.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
}

/// How a parameter's value is written (OpenAPI 3.1, "Style Values").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Style {
    /// `a,b,c` in a path or a header.
    Simple,
    /// `.a.b.c` in a path.
    Label,
    /// `;name=a` in a path.
    Matrix,
    /// `name=a&name=b` or `name=a,b`.
    Form,
    /// `name=a%20b`.
    SpaceDelimited,
    /// `name=a|b`.
    PipeDelimited,
    /// Swagger's `tsv`: values separated by tabs.
    TabDelimited,
    /// `name[key]=value`.
    DeepObject,
    /// `name=a; name=b` in the `Cookie` header, with no escaping (OpenAPI 3.2).
    Cookie,
}

/// One parameter of an operation.
#[derive(Debug)]
pub struct Parameter {
    /// Its name; header names in the case written.
    pub name: Box<str>,
    /// Where it stands.
    pub location: In,
    /// Whether it must be there. Path parameters always must.
    pub required: bool,
    /// `deprecated`.
    pub deprecated: bool,
    /// How it is written.
    pub style: Style,
    /// Whether each item or member is written apart.
    pub explode: bool,
    /// Whether reserved characters may stand unencoded.
    pub allow_reserved: bool,
    /// Whether a query parameter may be there without a value.
    pub allow_empty: bool,
    /// The media type of a parameter that is described by `content`.
    pub content: Option<Box<str>>,
    /// What its value must be.
    pub schema: SchemaId,
    pub(crate) decoder: Decoder,
}

/// The request body of an operation.
#[derive(Debug)]
pub struct RequestBody {
    /// Whether it must be there.
    pub required: bool,
    /// What it may be; the most specific first.
    pub content: Vec<Media>,
}

/// A body under one media type.
#[derive(Debug)]
pub struct Media {
    /// The media type or range.
    pub range: MediaRange,
    /// What the value must be, if anything is said about it.
    pub schema: Option<SchemaId>,
    /// What each value of a sequence must be (`itemSchema` of OpenAPI 3.2).
    pub item_schema: Option<SchemaId>,
    /// How the parts of a form are written.
    pub encoding: Vec<Encoding>,
    /// The described properties of a form, each as if it were a query parameter.
    pub(crate) fields: Vec<Parameter>,
    /// Its schema takes no text, so that bytes which are not looked into do not satisfy it.
    pub(crate) structured: bool,
    /// Its schema takes no text, or describes members or items: a body in a form that has them is read by it.
    pub(crate) parted: bool,
    /// Its schema describes one value of a sequence and not the list of them.
    pub(crate) single: bool,
    /// Its schema takes what a text can stand for: a number, `true`.
    pub(crate) scalar: bool,
}

impl Media {
    pub(crate) fn new(range: MediaRange, schema: Option<SchemaId>) -> Self {
        Self {
            range,
            schema,
            item_schema: None,
            encoding: Vec::new(),
            fields: Vec::new(),
            structured: false,
            parted: false,
            single: false,
            scalar: false,
        }
    }

    /// The schemas of the value and of its items.
    pub fn schemas(&self) -> impl Iterator<Item = SchemaId> {
        self.schema.into_iter().chain(self.item_schema)
    }

    /// Whether a body of this form can be judged. Of what is not looked into nothing can be said but that bytes are
    /// what is described.
    pub fn judges(&self, format: BodyFormat) -> bool {
        match format {
            BodyFormat::Opaque => !self.structured,
            BodyFormat::Text => !self.structured || self.scalar,
            _ => true,
        }
    }

    /// Whether a body of this form is looked into. XML that is described as a text is bytes.
    pub fn looks_into(&self, format: BodyFormat) -> bool {
        match format {
            BodyFormat::Opaque => false,
            BodyFormat::Xml => self.parted,
            _ => true,
        }
    }

    pub(crate) fn is_checked(&self) -> bool {
        let looks = !self.range.is_concrete() || self.looks_into(self.range.format());
        self.schemas().next().is_some() && looks
    }
}

/// How one property of a form body is written.
#[derive(Debug)]
pub struct Encoding {
    /// The property.
    pub property: Box<str>,
    /// Media types that a multipart part may have.
    pub content_types: Vec<MediaRange>,
    /// How it is written in a urlencoded form.
    pub style: Style,
    /// Whether each item or member is written apart.
    pub explode: bool,
    /// Whether reserved characters may stand unencoded.
    pub allow_reserved: bool,
    /// Headers that a multipart part must have.
    pub required_headers: Vec<Box<str>>,
}

/// The statuses that a response stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// One status.
    Exact(u16),
    /// A class: the first digit of `2XX`.
    Class(u8),
    /// Every status that no other response stands for.
    Default,
}

/// One response of an operation.
#[derive(Debug)]
pub struct Response {
    /// For which statuses.
    pub status: Status,
    /// Headers it describes.
    pub headers: Vec<Parameter>,
    /// What its body may be; the most specific first. Empty: nothing is said about a body.
    pub content: Vec<Media>,
}

/// Who may call an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// Neither the operation nor the document says anything.
    Absent,
    /// Any one of these suffices. An empty list (`security: []`) says that anyone may call.
    AnyOf(Vec<Requirement>),
}

/// Credentials that are needed together. An empty list says that none is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// All of these.
    pub all_of: Vec<SchemeUse>,
}

/// One scheme that a requirement asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemeUse {
    /// The scheme's name in the document.
    pub scheme: Box<str>,
    /// Its index in [`Contract::security_schemes`](crate::Contract::security_schemes), unless the document
    /// does not define it: such a requirement can never be met.
    pub index: Option<usize>,
    /// Scopes or roles, all of which are needed.
    pub scopes: Vec<Box<str>>,
}

/// A way to prove who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityScheme {
    /// Its name in the document.
    pub name: Box<str>,
    /// What it is.
    pub kind: SchemeKind,
}

/// The kinds of security schemes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemeKind {
    /// A key in a query parameter, header or cookie.
    ApiKey {
        /// Where.
        location: In,
        /// Under which name.
        name: Box<str>,
    },
    /// HTTP Basic (RFC 7617).
    Basic,
    /// A bearer token (RFC 6750).
    Bearer {
        /// `bearerFormat`, such as `JWT`.
        format: Option<Box<str>>,
    },
    /// Another HTTP authentication scheme, in lower case.
    Http {
        /// The scheme's name.
        scheme: Box<str>,
    },
    /// OAuth 2.
    OAuth2 {
        /// The token endpoints' and authorization endpoints' URLs, as written.
        urls: Vec<Box<str>>,
        /// Scopes that the flows offer.
        scopes: Vec<Box<str>>,
        /// `oauth2MetadataUrl` of OpenAPI 3.2.
        metadata: Option<Box<str>>,
    },
    /// OpenID Connect discovery.
    OpenIdConnect {
        /// The discovery document's URL.
        url: Box<str>,
    },
    /// A client certificate.
    MutualTls,
    /// Something that is not known; it can never be satisfied.
    Unknown,
}
