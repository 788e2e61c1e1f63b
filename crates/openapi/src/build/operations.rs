//! Paths and operations of every version.

use super::files::At;
use super::{Builder, Draft};
use crate::model::{Fixed, In, Method, Operation, Parameter, Security, Version};
use crate::problem::{Problem, Severity};
use crate::routes::{Template, bare_name};
use crate::source::{Member, Node};

/// Segments that a path may have: as many levels a look-up descends.
const MAX_SEGMENTS: usize = 200;

/// Values of server variables that are multiplied out at most.
const MAX_BASES: usize = 32;

impl<'d> Builder<'d> {
    pub(super) fn read_paths(&mut self) {
        let Some(paths) = self.root.get("paths") else {
            if self.version == Version::Swagger2 || self.version == Version::OpenApi30 {
                self.warn(self.root, "a document without `paths`", "`paths`");
            }
            return;
        };
        let Ok(paths) = self.follow(paths) else { return };
        // What the document says of all operations. A second `paths` is not read: its calls are refused.
        const SHARED: [&str; 7] =
            ["security", "servers", "basePath", "consumes", "produces", "securityDefinitions", "components"];
        let shared = |member: &&Member| SHARED.contains(&&*member.key);
        let shared = self.root.node.as_object().unwrap_or_default().iter().filter(shared);
        self.keys = shared.map(|member| (self.root.file, member.key_span)).collect();
        let common = self.keys.len();
        for member in paths.node.as_object().unwrap_or_default() {
            let key = &*member.key;
            let at = paths.with(&member.value);
            if key.starts_with("x-") {
                continue;
            }
            if !key.starts_with('/') {
                self.warn(
                    at,
                    format!("the path `{key}` without a slash at its start"),
                    "a path that starts with `/`",
                );
            }
            // Members beside a reference count too: they stand in front of those it leads to.
            let target = self.follow(at).ok().filter(|target| !std::ptr::eq(target.node, at.node));
            self.keys.truncate(common);
            self.keys.push((paths.file, member.key_span));
            self.read_path(key, at, target);
        }
    }

    fn read_path(&mut self, key: &'d str, own: At<'d>, target: Option<At<'d>>) {
        let sources: Vec<At<'d>> = std::iter::once(own).chain(target).collect();
        if own.node.as_object().is_none() {
            if !own.node.is_null() {
                let what = format!("a path that is {}", own.node.type_name());
                self.problem(own, Severity::Error, what, "an object of operations");
            }
            return;
        }
        if key.matches('/').count() > MAX_SEGMENTS {
            let expected = format!("at most {MAX_SEGMENTS} segments");
            self.problem(own, Severity::Error, "a path of very many segments", expected);
            return;
        }
        let find = |key: &str| sources.iter().find_map(|at| at.get(key));
        let shared = find("parameters");
        let servers = find("servers");
        let mut seen: Vec<Method> = Vec::new();
        let common = self.keys.len();
        for source in &sources {
            for member in source.node.as_object().unwrap_or_default() {
                let at = source.with(&member.value);
                self.keys.truncate(common);
                let of_all = sources.iter().flat_map(|at| {
                    let members = at.node.as_object().unwrap_or_default().iter();
                    let of_all =
                        members.filter(|member| matches!(&*member.key, "parameters" | "servers" | "$ref"));
                    of_all.map(|member| (at.file, member.key_span))
                });
                self.keys.extend(of_all.chain([(source.file, member.key_span)]));
                if let Some(method) = Method::from_key(&member.key) {
                    if !seen.contains(&method) {
                        seen.push(method.clone());
                        self.read_operation(key, method, at, shared, servers);
                    }
                } else if &*member.key == "additionalOperations" {
                    for member in member.value.as_object().unwrap_or_default() {
                        let method = Method::Other(member.key.clone());
                        self.read_operation(key, method, at.with(&member.value), shared, servers);
                    }
                } else if Method::from_key(&member.key.to_ascii_lowercase()).is_some() {
                    self.problem(
                        at,
                        Severity::Error,
                        format!("the method `{}`", member.key),
                        "a method in lower case",
                    );
                }
            }
        }
    }

    fn read_operation(
        &mut self,
        key: &'d str,
        method: Method,
        at: At<'d>,
        shared: Option<At<'d>>,
        servers: Option<At<'d>>,
    ) {
        let Ok(at) = self.follow(at) else { return };
        let Some(members) = at.node.as_object() else {
            let what = format!("an operation that is {}", at.node.type_name());
            self.problem(at, Severity::Error, what, "an object");
            return;
        };
        let mut template = Template::parse(key);
        let mut unenforced = Vec::new();
        if template.ambiguous {
            let what = format!("two parameters side by side in `{key}`");
            unenforced.push(self.problem(
                at,
                Severity::Error,
                what,
                "something between them that tells where one ends",
            ));
        }
        let security =
            self.read_security(at).or_else(|| self.default_security.clone()).unwrap_or(Security::Absent);
        let mut nodes = self.parameter_nodes(at, shared, &mut unenforced);
        let query_string = self.read_query_string(&mut nodes, &mut unenforced);
        self.widen(key, &mut template, &nodes);
        let (parameters, body) = match self.version {
            Version::Swagger2 => self.read_swagger_parameters(at, &nodes, &mut unenforced),
            _ => {
                let parameters =
                    nodes.iter().filter_map(|node| self.read_parameter(*node, &mut unenforced)).collect();
                let body =
                    at.get("requestBody").and_then(|body| self.read_request_body(body, &mut unenforced));
                (parameters, body)
            }
        };
        let parameters = self.fitting(at, key, &template, parameters);
        let capture_parameters = template
            .names
            .iter()
            .map(|name| {
                let is_it = |parameter: &Parameter| parameter.location == In::Path && parameter.name == *name;
                parameters.iter().position(is_it)
            })
            .collect::<Vec<_>>();
        for (name, described) in template.names.iter().zip(&capture_parameters) {
            if described.is_none() {
                self.warn(
                    at,
                    format!("`{{{name}}}` in the path, which no parameter describes"),
                    "a path parameter of that name",
                );
            }
        }
        let (fixed_query, fixed_headers) = fixed_places(&template, &parameters);
        let mut unenforced_responses = Vec::new();
        let responses = self.read_responses(at, &mut unenforced_responses);
        let text = |key: &str| at.str(key).map(Box::<str>::from);
        let sunset = at.get("x-sunset").map(|sunset| self.files.written(sunset).into());
        let tags = at.get("tags").and_then(|tags| tags.node.as_array()).unwrap_or_default();
        let extensions = members.iter().filter(|member| member.key.starts_with("x-"));
        let operation = Operation {
            place: self.files.place(at),
            query_string,
            method,
            path: key.into(),
            id: text("operationId"),
            tags: tags.iter().filter_map(Node::as_str).map(Into::into).collect(),
            summary: text("summary"),
            deprecated: at.bool("deprecated"),
            sunset,
            parameters,
            body,
            responses,
            credential_names: self.credential_names(&security),
            security,
            extensions: extensions.map(|member| (member.key.clone(), member.value.to_json())).collect(),
            unenforced,
            unenforced_responses,
            captures: template.names.clone(),
            capture_parameters,
            fixed_query,
            fixed_headers,
        };
        let bases = match at.get("servers").or(servers) {
            Some(servers) => self.bases(Some(servers)),
            None => self.root_bases(),
        };
        let keys = self.keys.clone();
        self.drafts.push(Draft { operation, template, bases, file: at.file, span: at.node.span, at, keys });
    }

    /// Lets the parameters hold slashes of which the policy or the document says so.
    fn widen(&mut self, key: &str, template: &mut Template, nodes: &[At<'d>]) {
        for (index, marked) in self.multi_segment.iter().enumerate() {
            if Template::is_marked_copy(marked, key)
                && let Some(name) = Template::parse(marked).rest
                && template.widen(&name)
            {
                self.idle_marks.retain(|idle| *idle != index);
            }
        }
        for at in nodes {
            let says_so = at.bool("x-multi-segment") || at.bool("x-ms-skip-url-encoding");
            let Some(name) = at.str("name").filter(|_| says_so && at.str("in") == Some("path")) else {
                continue;
            };
            if !template.widen(bare_name(name)) {
                let what = format!("`{name}`, which may hold slashes, in `{key}`");
                self.warn(*at, what, "one such parameter in a path, as a segment by itself");
            }
        }
    }

    /// The parameters of an operation and of its path; the operation's replace the path's of the same name.
    fn parameter_nodes(
        &mut self,
        operation: At<'d>,
        shared: Option<At<'d>>,
        unenforced: &mut Vec<Problem>,
    ) -> Vec<At<'d>> {
        let mut list: Vec<At<'d>> = Vec::new();
        for owner in [operation.get("parameters"), shared].into_iter().flatten() {
            let Some(items) = owner.node.as_array() else {
                if !owner.node.is_null() {
                    let what = format!("`parameters` that is {}", owner.node.type_name());
                    unenforced.push(self.problem(owner, Severity::Error, what, "a list of parameters"));
                }
                continue;
            };
            for item in items {
                let at = match self.follow(owner.with(item)) {
                    Ok(at) => at,
                    Err(problem) => {
                        unenforced.push(problem);
                        continue;
                    }
                };
                let same = |known: &At<'d>| {
                    let equal = |key: &str| known.str(key).is_some() && known.str(key) == at.str(key);
                    equal("name") && equal("in") || equal("in") && at.str("in") == Some("body")
                };
                if !list.iter().any(same) {
                    list.push(at);
                }
            }
        }
        list
    }

    /// Leaves out path parameters that the template does not have.
    fn fitting(
        &mut self,
        at: At<'d>,
        key: &str,
        template: &Template,
        parameters: Vec<Parameter>,
    ) -> Vec<Parameter> {
        let mut kept = Vec::new();
        for parameter in parameters {
            if parameter.location == In::Path && !template.names.contains(&parameter.name) {
                let what = format!("the path parameter `{}`, which `{key}` does not have", parameter.name);
                self.warn(at, what, "parameters that stand in the path");
                continue;
            }
            kept.push(parameter);
        }
        kept
    }

    fn root_bases(&self) -> Vec<String> {
        match self.version {
            Version::Swagger2 => {
                let base = self.root.str("basePath").unwrap_or_default();
                vec![base.trim_end_matches('/').to_owned()]
            }
            _ => self.bases(self.root.get("servers")),
        }
    }

    /// The path parts of servers' URLs, each once.
    fn bases(&self, servers: Option<At<'d>>) -> Vec<String> {
        let mut bases: Vec<String> = self.urls(servers).iter().map(|url| path_of(url)).collect();
        bases.sort_unstable();
        bases.dedup();
        if bases.is_empty() {
            bases.push(String::new());
        }
        bases
    }

    pub(super) fn server_urls(&self) -> Vec<String> {
        match self.version {
            Version::Swagger2 => {
                let host = self.root.str("host").unwrap_or_default();
                let base = self.root.str("basePath").unwrap_or_default();
                let schemes = self.root.node.get("schemes").and_then(Node::as_array).unwrap_or_default();
                let mut urls: Vec<String> = schemes
                    .iter()
                    .filter_map(Node::as_str)
                    .filter(|_| !host.is_empty())
                    .map(|scheme| format!("{scheme}://{host}{base}"))
                    .collect();
                if urls.is_empty() && !base.is_empty() {
                    urls.push(base.to_owned());
                }
                urls
            }
            _ => self.urls(self.root.get("servers")),
        }
    }

    /// Servers' URLs, variables replaced by their defaults; by each of their values if they are in the path.
    fn urls(&self, servers: Option<At<'d>>) -> Vec<String> {
        let mut urls = Vec::new();
        for server in servers.and_then(|servers| servers.node.as_array()).unwrap_or_default() {
            let Some(url) = server.get("url").and_then(Node::as_str) else { continue };
            let mut variants = vec![url.to_owned()];
            for variable in server.get("variables").and_then(Node::as_object).unwrap_or_default() {
                let place = format!("{{{}}}", variable.key);
                let default =
                    variable.value.get("default").map(|node| self.files.written(self.root.with(node)));
                let in_path = path_of(url).contains(&place);
                let values = variable.value.get("enum").and_then(Node::as_array).filter(|_| in_path);
                let mut values: Vec<String> = values
                    .unwrap_or_default()
                    .iter()
                    .map(|node| self.files.written(self.root.with(node)))
                    .collect();
                values.extend(default);
                values.sort_unstable();
                values.dedup();
                if !values.is_empty() && variants.iter().any(|variant| variant.contains(&place)) {
                    variants = variants
                        .iter()
                        .flat_map(|variant| values.iter().map(|value| variant.replace(&place, value)))
                        .take(MAX_BASES)
                        .collect();
                }
            }
            urls.append(&mut variants);
        }
        urls
    }
}

/// Where the `name=value` pairs of a path key stand: what a parameter describes as a header is one.
fn fixed_places(template: &Template, parameters: &[Parameter]) -> (Vec<Fixed>, Vec<Fixed>) {
    let in_query = |(name, _): &Fixed| {
        !template.in_fragment
            || !described(parameters, In::Header, name)
            || described(parameters, In::Query, name)
    };
    template.fixed.iter().cloned().partition(in_query)
}

pub(super) fn described(parameters: &[Parameter], place: In, name: &str) -> bool {
    parameters.iter().any(|parameter| {
        parameter.location == place
            && match place {
                In::Header => parameter.name.eq_ignore_ascii_case(name),
                _ => *parameter.name == *name,
            }
    })
}

/// The path of a server's URL, without a slash at its end; a relative one counts from the root.
fn path_of(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let path = match url.find("://") {
        Some(at) => {
            let rest = url.get(at + 3..).unwrap_or_default();
            rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default()
        }
        None => match url.strip_prefix("//") {
            Some(rest) => rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default(),
            None => url.trim_start_matches("./"),
        },
    };
    let path = path.trim_end_matches('/');
    if path.is_empty() || path == "." {
        String::new()
    } else if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn base_paths() {
        for (url, path) in [
            ("https://a.b/v1/", "/v1"),
            ("https://a.b", ""),
            ("https://a.b/", ""),
            ("/v1", "/v1"),
            ("v1", "/v1"),
            ("./v1", "/v1"),
            ("//h/v1?x", "/v1"),
            ("/", ""),
            ("", ""),
        ] {
            assert_eq!(path_of(url), path, "{url}");
        }
    }
}
