//! Who may call: security schemes and requirements.

use super::Builder;
use super::files::At;
use crate::model::{In, Requirement, SchemeKind, SchemeUse, Security, SecurityScheme, Version};
use crate::problem::Severity;
use crate::source::{Kind, Node};

impl<'d> Builder<'d> {
    pub(super) fn read_schemes(&mut self) {
        let schemes = match self.version {
            Version::Swagger2 => self.root.get("securityDefinitions"),
            _ => self.root.get("components").and_then(|components| components.get("securitySchemes")),
        };
        let Some(schemes) = schemes else { return };
        for member in schemes.node.as_object().unwrap_or_default() {
            let at = schemes.with(&member.value);
            let duplicates = self.files.documents().get(at.file).map_or(&[][..], |file| file.duplicates());
            let kind = match self.follow(at) {
                // Nobody can tell which of the two counts.
                _ if duplicates.iter().any(|duplicate| duplicate.first == member.key_span) => {
                    SchemeKind::Unknown
                }
                Ok(at) => self.read_scheme(at),
                Err(_) => SchemeKind::Unknown,
            };
            self.schemes.push(SecurityScheme { name: member.key.clone(), kind });
        }
    }

    fn read_scheme(&mut self, at: At<'d>) -> SchemeKind {
        let text = |key: &str| at.str(key).map(Box::<str>::from);
        match at.str("type").unwrap_or_default() {
            "apiKey" => {
                let location = match at.str("in").unwrap_or_default() {
                    "query" => Some(In::Query),
                    "header" => Some(In::Header),
                    "cookie" => Some(In::Cookie),
                    _ => None,
                };
                if let (Some(location), Some(name)) = (location, text("name")) {
                    return SchemeKind::ApiKey { location, name };
                }
                self.problem(
                    at,
                    Severity::Error,
                    "an `apiKey` without a place",
                    "`in: query, header or cookie` and `name`",
                );
                SchemeKind::Unknown
            }
            "basic" => SchemeKind::Basic,
            "http" => match at.str("scheme").unwrap_or_default().to_ascii_lowercase().as_str() {
                "basic" => SchemeKind::Basic,
                "bearer" => SchemeKind::Bearer { format: text("bearerFormat") },
                "" => {
                    self.problem(
                        at,
                        Severity::Error,
                        "an `http` scheme without `scheme`",
                        "`scheme: bearer` or another",
                    );
                    SchemeKind::Unknown
                }
                other => SchemeKind::Http { scheme: other.into() },
            },
            "oauth2" => {
                let flows: Vec<At<'d>> = match at.get("flows") {
                    Some(flows) => {
                        let members = flows.node.as_object().unwrap_or_default();
                        members.iter().map(|member| flows.with(&member.value)).collect()
                    }
                    None => vec![at],
                };
                let (mut urls, mut scopes): (Vec<Box<str>>, Vec<Box<str>>) = Default::default();
                for flow in flows {
                    let keys = ["authorizationUrl", "deviceAuthorizationUrl", "tokenUrl", "refreshUrl"];
                    urls.extend(keys.iter().filter_map(|key| flow.str(key)).map(Into::into));
                    let members = flow.get("scopes").and_then(|scopes| scopes.node.as_object());
                    scopes.extend(members.unwrap_or_default().iter().map(|member| member.key.clone()));
                }
                for list in [&mut urls, &mut scopes] {
                    list.sort_unstable();
                    list.dedup();
                }
                SchemeKind::OAuth2 { urls, scopes, metadata: text("oauth2MetadataUrl") }
            }
            "openIdConnect" => match text("openIdConnectUrl") {
                Some(url) => SchemeKind::OpenIdConnect { url },
                None => {
                    self.problem(at, Severity::Error, "`openIdConnect` without a URL", "`openIdConnectUrl`");
                    SchemeKind::Unknown
                }
            },
            "mutualTLS" => SchemeKind::MutualTls,
            other => {
                let what = format!("the security scheme type `{other}`");
                self.problem(at, Severity::Error, what, "apiKey, http, oauth2, openIdConnect or mutualTLS");
                SchemeKind::Unknown
            }
        }
    }

    /// The `security` of an operation or of the document; nothing if it has none. What cannot be read becomes
    /// a requirement that no call meets.
    pub(super) fn read_security(&mut self, owner: At<'d>) -> Option<Security> {
        let at = owner.get("security")?;
        let Kind::Array(list) = &at.node.kind else {
            let what = format!("`security` that is {}", at.node.type_name());
            self.problem(at, Severity::Error, what, "a list of requirements");
            return Some(Security::AnyOf(vec![unmeetable("security")]));
        };
        let requirements = list.iter().map(|node| self.read_requirement(at.with(node))).collect();
        Some(Security::AnyOf(requirements))
    }

    fn read_requirement(&mut self, at: At<'d>) -> Requirement {
        let Some(members) = at.node.as_object() else {
            let what = format!("a security requirement that is {}", at.node.type_name());
            self.problem(at, Severity::Error, what, "an object of scheme names");
            return unmeetable("security");
        };
        let mut all_of = Vec::new();
        for member in members {
            let scheme = member.key.clone();
            let index = self.schemes.iter().position(|known| known.name == scheme);
            let index = index.or_else(|| self.scheme_at(at, &member.key));
            if index.is_none() {
                let what = format!("the security scheme `{scheme}`, which is not defined");
                self.problem(at.with(&member.value), Severity::Error, what, "the name of a security scheme");
            }
            let scopes = member.value.as_array().unwrap_or_default();
            let scopes = scopes.iter().filter_map(Node::as_str).map(Into::into).collect();
            all_of.push(SchemeUse { scheme, index, scopes });
        }
        Requirement { all_of }
    }

    /// The scheme that a URI names instead of `components` (OpenAPI 3.2, "Security Requirement Object"), in a file that
    /// is loaded.
    fn scheme_at(&mut self, from: At<'d>, uri: &'d str) -> Option<usize> {
        if !uri.contains(['#', '/']) {
            return None;
        }
        let at = self.resolver.find(from, uri).and_then(|at| self.resolver.follow(at)).ok()?;
        let kind = self.read_scheme(at);
        self.schemes.push(SecurityScheme { name: uri.into(), kind });
        Some(self.schemes.len() - 1)
    }

    /// Names that credentials may use, so that they are not taken for undescribed parameters.
    pub(super) fn credential_names(&self, security: &Security) -> Vec<(In, Box<str>)> {
        let Security::AnyOf(requirements) = security else { return Vec::new() };
        let uses = requirements.iter().flat_map(|requirement| &requirement.all_of);
        let kinds = uses.filter_map(|used| self.schemes.get(used.index?)).map(|scheme| &scheme.kind);
        let mut names: Vec<(In, Box<str>)> = kinds
            .filter_map(|kind| match kind {
                SchemeKind::ApiKey { location, name } => Some((*location, name.clone())),
                _ => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn unmeetable(scheme: &str) -> Requirement {
    Requirement { all_of: vec![SchemeUse { scheme: scheme.into(), index: None, scopes: Vec::new() }] }
}
