//! What a tenant is called, and how a request says which tenant it means.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::field::Violation;
use crate::ids::{EnvId, OrgId};

/// A tenant's name: 1 to 100 ASCII letters, digits, spaces, `.`, `_` and `-`, beginning and ending with a letter or digit,
/// without `..`. Narrow on purpose: it appears in labels, file names and log lines, and becomes a host name.
///
/// A new name is neither a number nor a word of the API's own paths, so that `/tenant/36` and `/tenant/my-app` cannot be
/// confused, and has no two spaces in a row, which look like one. A name that is stored may be older than these rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

impl TenantName {
    /// Characters in a name.
    pub const MAX: usize = 100;
    /// Words that stand where a tenant stands in the paths of the API.
    pub const RESERVED: [&'static str; 2] = ["plan", "spawn"];

    /// Checks a new name.
    ///
    /// # Errors
    /// A violation of the path `name` that says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let name = Self::stored(text)?;
        if name.is_number() {
            let message = format!("{text:?} has digits only and would be taken for a tenant's number; add a letter");
            return Err(Violation::deny("name", "bad-form", message));
        }
        if text.contains("  ") {
            let message = format!("{text:?} has two spaces in a row, which look like one; use single spaces");
            return Err(Violation::deny("name", "bad-form", message));
        }
        if name.is_reserved() {
            let message = format!("{text:?} is a word of the API's paths; choose another name");
            return Err(Violation::deny("name", "reserved", message));
        }
        Ok(name)
    }

    /// Checks a name that a tenant may have, for one that an earlier version accepted.
    ///
    /// # Errors
    /// A violation of the path `name` that says which rule was broken.
    pub fn stored(text: &str) -> Result<Self, Violation> {
        let deny = |code, message: String| Err(Violation::deny("name", code, message));
        let length = text.chars().count();
        if length == 0 {
            return deny("required", "the name is empty; give one of 1 to 100 characters".into());
        }
        if length > Self::MAX {
            return deny("too-long", format!("the name has {length} characters; at most {} are allowed", Self::MAX));
        }
        if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || " ._-".contains(*c))) {
            return deny(
                "bad-character",
                format!("the name contains {bad:?}; use letters, digits, spaces, '.', '_' and '-'"),
            );
        }
        let edges_ok = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric());
        if !edges_ok || text.contains("..") {
            return deny(
                "bad-form",
                "the name must begin and end with a letter or digit and must not contain '..'".into(),
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What two names have in common that differ in case only: two tenants of an organization may not.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    fn is_number(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn is_reserved(&self) -> bool {
        Self::RESERVED.iter().any(|word| word.eq_ignore_ascii_case(&self.0))
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::stored(&text).map_err(|violation| violation.message)
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.0
    }
}

/// The tenant that a request means: its number or its name. Digits only is a number; anything else is a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantRef {
    /// Its public number.
    Number(EnvId),
    /// Its name, without regard to case.
    Name(TenantName),
}

/// A text that is neither a tenant's number nor a tenant's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is neither a tenant's number nor a tenant's name: {reason}")]
pub struct NotATenant {
    shown: String,
    reason: String,
}

impl NotATenant {
    /// Says why a text cannot be a tenant.
    pub fn new(text: &str, reason: impl Into<String>) -> Self {
        Self { shown: text.chars().take(TenantName::MAX).collect(), reason: reason.into() }
    }
}

impl TenantRef {
    /// Reads a number or a name. No text is both.
    ///
    /// # Errors
    /// Why it is neither: a sign, a leading zero, a character that no name has.
    pub fn parse(text: &str) -> Result<Self, NotATenant> {
        let refuse = |reason: &str| Err(NotATenant::new(text, reason));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if text.strip_prefix(['+', '-']).is_some_and(digits) {
            return refuse("a number has no sign");
        }
        if !digits(text) {
            return TenantName::stored(text).map(Self::Name).map_err(|wrong| NotATenant::new(text, wrong.message));
        }
        if text.len() > 1 && text.starts_with('0') {
            return refuse("a number has no leading zero, and a name has not only digits");
        }
        match text.parse() {
            Ok(number) => Ok(Self::Number(EnvId(number))),
            Err(_) => refuse("the number is larger than any tenant's"),
        }
    }
}

/// A tenant, as far as its name goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Whose it is.
    pub org: OrgId,
    /// Its number.
    pub env_id: EnvId,
    /// Its name.
    pub name: TenantName,
}

/// Names that an earlier version accepted and that do not lead to their tenant alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Tenants of one organization whose names differ in case only.
    CaseOnly(Vec<Named>),
    /// A name that a request takes for a number or for a word of the API's paths.
    Shadowed(Named),
}

/// Finds the names that do not lead to their tenant alone.
pub fn doubts(tenants: Vec<Named>) -> Vec<Doubt> {
    let shadowed = tenants.iter().filter(|tenant| tenant.name.is_number() || tenant.name.is_reserved());
    let mut doubts: Vec<Doubt> = shadowed.cloned().map(Doubt::Shadowed).collect();
    let mut alike: BTreeMap<(OrgId, String), Vec<Named>> = BTreeMap::new();
    for tenant in tenants {
        alike.entry((tenant.org, tenant.name.key())).or_default().push(tenant);
    }
    doubts.extend(alike.into_values().filter(|tenants| tenants.len() > 1).map(Doubt::CaseOnly));
    doubts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_what_people_call_things_and_nothing_more() {
        for good in ["a", "my-app", "ACME Corp v1.2", "36b", "3.6", &"x".repeat(100)] {
            assert!(TenantName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " a",
            "a ",
            "-a",
            "../etc",
            "a..b",
            "$HOME",
            "x\nADD http://127.0.0.1/ /",
            "a\0",
            "é",
            &"x".repeat(101),
            "36",
            "0",
            "036",
            "plan",
            "Spawn",
            "my  app",
        ] {
            assert_eq!(TenantName::parse(bad).unwrap_err().path, "name", "{bad:?}");
        }
    }

    #[test]
    fn a_stored_name_is_checked_again_when_read_and_may_be_older_than_the_newest_rules() {
        assert!(serde_json::from_str::<TenantName>("\"a\\nb\"").is_err());
        for older in ["36", "plan", "my  app"] {
            assert_eq!(serde_json::from_str::<TenantName>(&format!("{older:?}")).unwrap().as_str(), older);
        }
    }

    #[test]
    fn numbers_and_names_are_told_apart() {
        assert_eq!(TenantRef::parse("36"), Ok(TenantRef::Number(EnvId(36))));
        for name in ["my-app", "36b", "3.6", "1e3", "My App"] {
            let parsed = TenantRef::parse(name);
            assert!(matches!(&parsed, Ok(TenantRef::Name(named)) if named.as_str() == name), "{name}: {parsed:?}");
        }
        for (neither, why) in [
            ("+36", "no sign"),
            ("-36", "no sign"),
            ("036", "leading zero"),
            ("00", "leading zero"),
            ("99999999999999999999", "larger"),
            ("", "empty"),
            ("..", "begin and end"),
            ("a/b", "'/'"),
            ("é", "'é'"),
            (" 36", "begin and end"),
        ] {
            let error = TenantRef::parse(neither).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("neither a tenant's number nor"), "{neither:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn every_new_name_and_every_number_leads_back_to_itself(text in "[A-Za-z0-9 ._+-]{1,12}", number in 0..i64::MAX) {
            if let Ok(name) = TenantName::parse(&text) {
                prop_assert_eq!(TenantRef::parse(&text), Ok(TenantRef::Name(name)));
            }
            prop_assert_eq!(TenantRef::parse(&number.to_string()), Ok(TenantRef::Number(EnvId(number))));
        }
    }

    #[test]
    fn names_in_doubt_are_found_by_organization() {
        let named = |org, env_id, name: &str| Named {
            org: OrgId(org),
            env_id: EnvId(env_id),
            name: TenantName::stored(name).unwrap(),
        };
        let (one, two, number, word) = (named(1, 1, "App"), named(1, 2, "aPP"), named(1, 3, "7"), named(1, 4, "Plan"));
        let others = [named(1, 5, "other"), named(2, 6, "app")];
        let all = [one.clone(), two.clone(), number.clone(), word.clone()].into_iter().chain(others);
        assert_eq!(
            doubts(all.collect()),
            [Doubt::Shadowed(number), Doubt::Shadowed(word), Doubt::CaseOnly(vec![one, two])]
        );
    }
}
