//! Label and field selectors: parsing their text forms and matching.
//!
//! Source: apimachinery `labels.Parse`, `fields.ParseSelector`, `metav1.LabelSelector`.

use std::collections::BTreeMap;

use km_kinds::apimachinery::pkg::apis::meta::v1::LabelSelector as TypedLabelSelector;

/// A conjunction of requirements on labels; empty matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// What its value must be.
    pub operator: Operator,
}

/// What a label's value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The label is there with one of these values.
    In(Vec<String>),
    /// The label is absent, or has none of these values.
    NotIn(Vec<String>),
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer above this.
    GreaterThan(i64),
    /// The label is an integer below this.
    LessThan(i64),
}

/// A selector that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unable to parse requirement: {0}")]
pub struct ParseSelectorError(String);

impl LabelSelector {
    /// Parses the query form, e.g. `app=web,tier in (a,b),!old`.
    ///
    /// # Errors
    /// [`ParseSelectorError`] naming what was found and what was expected.
    pub fn parse(text: &str) -> Result<Self, ParseSelectorError> {
        split_outside_parentheses(text).into_iter().map(parse_requirement).collect::<Result<_, _>>().map(Self)
    }

    /// Makes the selector that `matchLabels` or a Service's `selector` means.
    #[must_use]
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Self {
        Self(
            labels
                .iter()
                .map(|(k, v)| Requirement { key: k.clone(), operator: Operator::In(vec![v.clone()]) })
                .collect(),
        )
    }

    /// Makes a selector of the typed form.
    ///
    /// # Errors
    /// [`ParseSelectorError`] for an operator that does not exist.
    pub fn from_typed(selector: &TypedLabelSelector) -> Result<Self, ParseSelectorError> {
        let mut all = selector.match_labels.as_ref().map(Self::from_labels).unwrap_or_default();
        for expression in selector.match_expressions.iter().flatten() {
            let values = expression.values.clone().unwrap_or_default();
            let operator = match expression.operator.as_str() {
                "In" => Operator::In(values),
                "NotIn" => Operator::NotIn(values),
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(ParseSelectorError(format!("{other:?} is not a valid label selector operator")));
                }
            };
            all.0.push(Requirement { key: expression.key.clone(), operator });
        }
        Ok(all)
    }

    /// Adds a requirement.
    pub fn push(&mut self, requirement: Requirement) {
        self.0.push(requirement);
    }

    /// Tells whether the selector matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether `labels` meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|r| r.matches(labels.get(&r.key).map(String::as_str)))
    }

    /// Returns the requirements.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }
}

impl Requirement {
    /// Tells whether a label value, or its absence, meets the requirement.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match &self.operator {
            Operator::In(values) => value.is_some_and(|v| values.iter().any(|x| x == v)),
            Operator::NotIn(values) => value.is_none_or(|v| !values.iter().any(|x| x == v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan(bound) => number().is_some_and(|n| n > *bound),
            Operator::LessThan(bound) => number().is_some_and(|n| n < *bound),
        }
    }
}

/// A conjunction of comparisons on an object's fields; empty matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<FieldRequirement>);

/// One comparison of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Path of the field, e.g. `spec.nodeName`.
    pub path: String,
    /// The value it is compared with.
    pub value: String,
    /// Whether the value must be equal (or must differ).
    pub equal: bool,
}

impl FieldSelector {
    /// Parses the query form, e.g. `metadata.name=web,status.phase!=Running`.
    ///
    /// # Errors
    /// [`ParseSelectorError`] when a term is no comparison.
    pub fn parse(text: &str) -> Result<Self, ParseSelectorError> {
        let mut all = Vec::new();
        for term in text.split(',').filter(|t| !t.is_empty()) {
            let (path, value, equal) = if let Some((p, v)) = term.split_once("!=") {
                (p, v, false)
            } else if let Some((p, v)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (p, v, true)
            } else {
                return Err(ParseSelectorError(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            all.push(FieldRequirement { path: path.trim().to_owned(), value: value.trim().to_owned(), equal });
        }
        Ok(Self(all))
    }

    /// Tells whether the selector matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the comparisons.
    #[must_use]
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.0
    }

    /// Tells whether the fields that `lookup` returns meet every comparison; an absent field is empty text.
    pub fn matches<'a>(&self, lookup: impl Fn(&str) -> Option<std::borrow::Cow<'a, str>>) -> bool {
        self.0.iter().all(|r| (lookup(&r.path).as_deref().unwrap_or_default() == r.value) == r.equal)
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0i32, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().map(str::trim).filter(|p| !p.is_empty()).collect()
}

fn parse_requirement(term: &str) -> Result<Requirement, ParseSelectorError> {
    let requirement = |key: &str, operator| {
        let key = key.trim();
        if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "()=!<>".contains(c)) {
            return Err(ParseSelectorError(format!("found '{key}', expected: identifier")));
        }
        Ok(Requirement { key: key.to_owned(), operator })
    };
    if let Some(key) = term.strip_prefix('!') {
        return requirement(key, Operator::DoesNotExist);
    }
    if let Some(open) = term.find('(') {
        let list = term[open + 1..]
            .strip_suffix(')')
            .ok_or_else(|| ParseSelectorError(format!("found '{term}', expected: ')'")))?;
        let values = list.split(',').map(|v| v.trim().to_owned()).collect();
        let head = term[..open].trim_end();
        return if let Some(key) = head.strip_suffix(" notin") {
            requirement(key, Operator::NotIn(values))
        } else if let Some(key) = head.strip_suffix(" in") {
            requirement(key, Operator::In(values))
        } else {
            Err(ParseSelectorError(format!("found '{head}', expected: in, notin")))
        };
    }
    let single = |v: &str| match v.trim() {
        value if value.contains(|c: char| c.is_whitespace() || "()=!<>".contains(c)) => {
            Err(ParseSelectorError(format!("found '{value}', expected: identifier")))
        }
        value => Ok(vec![value.to_owned()]),
    };
    if let Some((key, value)) = term.split_once("!=") {
        return requirement(key, Operator::NotIn(single(value)?));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return requirement(key, Operator::In(single(value)?));
    }
    let bound = |v: &str| {
        v.trim()
            .parse()
            .map_err(|_| ParseSelectorError(format!("for 'Gt', 'Lt' operators, the value must be an integer: {v:?}")))
    };
    if let Some((key, value)) = term.split_once('>') {
        return requirement(key, Operator::GreaterThan(bound(value)?));
    }
    if let Some((key, value)) = term.split_once('<') {
        return requirement(key, Operator::LessThan(bound(value)?));
    }
    requirement(term, Operator::Exists)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn label_selectors_match_as_kubectl_users_expect() {
        let web = labels(&[("app", "web"), ("tier", "a"), ("gen", "5")]);
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=a", true),
            ("app!=web", false),
            ("missing!=x", true),
            ("tier in (a, b)", true),
            ("tier notin (a,b)", false),
            ("app", true),
            ("!app", false),
            ("!missing", true),
            ("gen>4", true),
            ("gen<5", false),
            ("app=", false),
        ] {
            assert_eq!(LabelSelector::parse(selector).unwrap().matches(&web), expected, "{selector}");
        }
        for bad in ["app=web=x y(", "a===b", "a=b c", "tier in a", "x within (a)", "a b"] {
            assert!(LabelSelector::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn field_selectors_compare_absent_fields_as_empty() {
        let lookup = |path: &str| (path == "status.phase").then(|| "Running".into());
        for (selector, expected) in
            [("status.phase=Running", true), ("status.phase!=Running", false), ("spec.nodeName=", true)]
        {
            assert_eq!(FieldSelector::parse(selector).unwrap().matches(lookup), expected, "{selector}");
        }
        assert!(FieldSelector::parse("status.phase").is_err());
    }
}
