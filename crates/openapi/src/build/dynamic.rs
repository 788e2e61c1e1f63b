//! References whose target depends on where their schema was entered from.

use super::draft::Draft;
use super::files::At;
use super::schemas::Compiler;

/// Combinations of anchors that schemas with `$dynamicRef` are compiled for.
const MAX_ENVS: usize = 1_024;

/// For each dynamic anchor, the outermost schema that has it on the way to where it is used (2020-12 core, section
/// 8.2.3.2). A schema that is entered by two ways is compiled for each. Nothing for one that is there twice.
pub(super) type Env<'d> = Vec<(&'d str, Option<At<'d>>)>;

/// An [`Env`] by its place.
pub(super) type EnvId = usize;

impl<'d> Compiler<'d> {
    /// The anchors in force after entering the resource of a schema.
    pub(super) fn enter(&mut self, env: EnvId, at: At<'d>) -> EnvId {
        if !self.resolver.is_dynamic {
            return env;
        }
        let mut list = self.envs.get(env).cloned().unwrap_or_default();
        let length = list.len();
        for (name, anchor) in self.resolver.dynamic_anchors(at) {
            if !list.iter().any(|(known, _)| *known == name) {
                list.push((name, anchor));
            }
        }
        if list.len() == length || self.envs.len() >= MAX_ENVS {
            return env;
        }
        list.sort_by_key(|(name, _)| *name);
        let key = list.iter().map(|(name, at)| (*name, at.map(|at| std::ptr::from_ref(at.node)))).collect();
        let next = self.envs.len();
        let id = *self.known_envs.entry(key).or_insert(next);
        if id == next {
            self.envs.push(list);
        }
        id
    }

    /// A reference whose target depends on where the schema was entered from.
    pub(super) fn dynamic(&mut self, draft: &mut Draft<'d>, key: &str, value: At<'d>) {
        let reference = value.node.as_str().unwrap_or_default();
        let target = match self.resolver.find(value, reference) {
            Ok(target) => target,
            Err(expected) => return self.flaw(value, format!("`{reference}` leads nowhere"), expected),
        };
        let name = match key {
            "$recursiveRef" => target
                .get("$recursiveAnchor")
                .filter(|anchor| anchor.node.as_bool() == Some(true))
                .map(|_| ""),
            // Only an anchor that is dynamic itself stands for others of its name.
            _ => target
                .str("$dynamicAnchor")
                .filter(|name| reference.split_once('#').is_some_and(|(_, own)| own == *name)),
        };
        let env = self.envs.get(self.env);
        let outermost = name.and_then(|name| env?.iter().find(|(known, _)| *known == name));
        let ambiguous = matches!(outermost, Some((_, None))) || name.is_some() && self.envs.len() >= MAX_ENVS;
        if ambiguous {
            return self.flaw(
                value,
                format!("a `{key}` that may lead to several places"),
                "a `$ref`, or an anchor that is there once in each schema with a `$id`",
            );
        }
        let target = outermost.and_then(|(_, outermost)| *outermost).unwrap_or(target);
        draft.dynamic = Some(self.schema(target));
    }
}
