//! Names of targets in a configuration, in which `*` stands for any text.

use std::fmt;
use std::path::PathBuf;

use crate::decide::nearest::suggestion;
use crate::model::target::Target;

/// A name of one or more targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// As it was written.
    text: String,
    kind: Option<&'static str>,
    name: String,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

impl Pattern {
    /// The one that names every target.
    pub fn any() -> Self {
        Self {
            text: "*".to_owned(),
            kind: None,
            name: "*".to_owned(),
        }
    }

    /// Reads `orders-db`, `shop-*` or `file:/srv/orders`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once(':') {
            Some((word, name)) if word.chars().all(|c| c.is_ascii_lowercase()) => {
                let Some(kind) = Target::KINDS.iter().find(|kind| **kind == word) else {
                    let known = suggestion(word, Target::KINDS);
                    return Err(format!("no target is of the kind `{word}`{known}"));
                };
                (Some(*kind), name)
            }
            _ => (None, text),
        };
        if name.is_empty() || name.trim() != name || name.contains(char::is_control) {
            return Err(format!("`{text}` names no target"));
        }
        if kind == Some("file") && !name.starts_with(['/', '*']) {
            return Err(format!("`{text}` is no absolute path"));
        }
        Ok(Self {
            text: text.to_owned(),
            kind,
            name: name.to_owned(),
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it names a target. A service's name also names its links, and a folder's what is
    /// in it.
    pub fn names(&self, target: &Target) -> bool {
        if self.text == "*" {
            return true;
        }
        match (self.kind, target) {
            (None | Some("service"), _) if target.service().is_some() => {
                matches(&self.name, target.service().unwrap_or_default())
            }
            (Some("file"), Target::File(path)) => {
                let named = Target::File(PathBuf::from(&self.name));
                // One that leads elsewhere than it reads does not even cover itself.
                let plain = target.covers(target);
                named.covers(target) || (plain && matches(&self.name, &path.to_string_lossy()))
            }
            // A path is only meant where somebody says so.
            (None, Target::File(_)) => false,
            (None, _) => matches(&self.name, &target.bare_name()),
            (Some(kind), _) => kind == target.kind() && matches(&self.name, &target.bare_name()),
        }
    }
}

/// Whether a text is as a pattern says, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    // There is always a first one.
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_a_person_reads_them() {
        let service = || Target::Service("orders-db".into());
        let link = || Target::Link {
            service: "orders-db".into(),
            link: "shop->orders-db:5432".into(),
        };
        let file = |path: &str| Target::File(path.into());
        let other = || Target::other("orders-db");
        for (pattern, target, expected) in [
            ("orders-db", service(), true),
            ("orders-db", link(), true),
            ("orders-db", other(), true),
            ("orders", service(), false),
            ("Orders-db", service(), false),
            ("orders-*", service(), true),
            ("*-db", link(), true),
            ("o*r*db", service(), true),
            ("o*db*b", service(), false),
            ("orders-db*", service(), true),
            ("*", service(), true),
            ("*", file("/etc/passwd"), true),
            ("*", file("/etc/../x"), true),
            ("service:orders-db", service(), true),
            ("service:orders-db", link(), true),
            ("service:orders-db", other(), false),
            ("service:*", file("/a"), false),
            ("link:shop->orders-db:5432", link(), true),
            ("link:*", service(), false),
            ("other:orders-db", service(), false),
            ("other:orders-*", other(), true),
            ("file:/srv", file("/srv/orders/1"), true),
            ("file:/srv", file("/srv2"), false),
            ("file:/srv", file("/srv/../etc"), false),
            ("file:/srv/*.json", file("/srv/a.json"), true),
            ("file:/srv/*.json", file("/srv/../a.json"), false),
            ("/srv", file("/srv"), false),
            ("127.0.0.1:5432", Target::other("127.0.0.1:5432"), true),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.names(&target), expected, "{pattern} and {target}");
        }
    }

    #[test]
    fn what_can_name_nothing_is_refused() {
        for (pattern, expected) in [
            ("", "names no target"),
            (" a", "names no target"),
            ("service:", "names no target"),
            ("a\nb", "names no target"),
            ("servise:a", "did you mean `service`?"),
            ("localhost:80", "no target is of the kind `localhost`"),
            ("file:srv", "is no absolute path"),
        ] {
            let why = Pattern::parse(pattern).unwrap_err();
            assert!(why.contains(expected), "{pattern}: {why}");
        }
    }
}
