//! Who is meant: callers by their scopes, roles, groups and consumers.

use portcullis_engine::Principal;

/// Callers that fit all of what is said of them; an empty list says nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Callers {
    /// Of these scopes, the credential carries all.
    pub(crate) scopes: Vec<Box<str>>,
    /// Of these, one.
    pub(crate) any_scope: Vec<Box<str>>,
    /// Of these roles, the user has one.
    pub(crate) roles: Vec<Box<str>>,
    /// Of these groups, the user is in one.
    pub(crate) groups: Vec<Box<str>>,
    /// It is one of these consumers.
    pub(crate) consumers: Vec<Box<str>>,
}

/// What a caller lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack<'a> {
    /// This scope.
    Scope(&'a str),
    /// Each of the scopes of which one would do.
    AnyScope,
    /// Each of the roles.
    Role,
    /// Each of the groups.
    Group,
    /// It is another consumer.
    Consumer,
}

impl Callers {
    /// Whether nothing is said of anybody: then all fit.
    pub(crate) fn is_everybody(&self) -> bool {
        [&self.scopes, &self.any_scope, &self.roles, &self.groups, &self.consumers]
            .iter()
            .all(|list| list.is_empty())
    }

    /// The first thing that `principal` lacks.
    pub(crate) fn lack(&self, principal: &Principal) -> Option<Lack<'_>> {
        if let Some(missing) = self.scopes.iter().find(|scope| !principal.has_scope(scope)) {
            return Some(Lack::Scope(missing));
        }
        if !self.any_scope.is_empty() && !self.any_scope.iter().any(|scope| principal.has_scope(scope)) {
            return Some(Lack::AnyScope);
        }
        let claims = principal.claims.as_deref();
        let one_of = |wanted: &[Box<str>], held: &[Box<str>]| {
            wanted.is_empty() || wanted.iter().any(|name| held.contains(name))
        };
        if !one_of(&self.roles, claims.map_or(&[], |claims| claims.roles())) {
            return Some(Lack::Role);
        }
        if !one_of(&self.groups, claims.map_or(&[], |claims| claims.groups())) {
            return Some(Lack::Group);
        }
        let known =
            self.consumers.is_empty() || self.consumers.iter().any(|name| **name == *principal.consumer);
        (!known).then_some(Lack::Consumer)
    }

    /// Whether `principal` is among them.
    pub(crate) fn fit(&self, principal: &Principal) -> bool {
        self.lack(principal).is_none()
    }
}
