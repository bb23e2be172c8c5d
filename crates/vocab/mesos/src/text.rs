//! The text form of resources and attributes that Mesos takes on its command line:
//! `cpus:2;mem:2048;ports:[31000-32000,33000-33010]` and `rack:r1;gen:2016`.
//!
//! Source: Mesos 1.11 docs/attributes-resources.md. Of its forms, sets (`{a,b}`) are read for resources only: an
//! agent with a SET attribute aborts in the real Mesos. A role in parentheses is not read.

use crate::ranges::RangeSet;
use crate::resources::{Milli, ranges, scalar};
use crate::{Attribute, Resource, value};

/// Text that is not a list of resources or attributes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A part has no name or no value.
    #[error("{part:?} is not NAME:VALUE")]
    Part {
        /// The part.
        part: String,
    },
    /// A value of a resource is neither an amount nor ranges.
    #[error("{part:?}: the value must be a number or ranges such as [31000-32000]")]
    Value {
        /// The part.
        part: String,
    },
    /// A name comes twice.
    #[error("{name:?} is given twice")]
    Twice {
        /// The name.
        name: String,
    },
}

/// Reads resources.
///
/// # Errors
/// [`TextError`] for the first part that cannot be read.
pub fn parse_resources(text: &str) -> Result<Vec<Resource>, TextError> {
    let mut all: Vec<Resource> = Vec::new();
    for (name, value, part) in parts(text)? {
        if all.iter().any(|r| r.name == name) {
            return Err(TextError::Twice { name: name.to_owned() });
        }
        let bad = || TextError::Value { part: part.to_owned() };
        all.push(match value.strip_prefix('[') {
            Some(list) => {
                let list = list.strip_suffix(']').ok_or_else(bad)?;
                ranges(name, &parse_ranges(list).ok_or_else(bad)?)
            }
            None => {
                let amount: f64 = value.parse().map_err(|_| bad())?;
                if !amount.is_finite() || amount < 0.0 {
                    return Err(bad());
                }
                scalar(name, Milli::from_f64(amount))
            }
        });
    }
    Ok(all)
}

/// Reads attributes: a number is a SCALAR, ranges are RANGES, all else is TEXT.
///
/// # Errors
/// [`TextError`] for the first part that cannot be read.
pub fn parse_attributes(text: &str) -> Result<Vec<Attribute>, TextError> {
    let mut all: Vec<Attribute> = Vec::new();
    for (name, text, _) in parts(text)? {
        let mut attribute = Attribute { name: name.to_owned(), ..Attribute::default() };
        let list = text.strip_prefix('[').and_then(|l| l.strip_suffix(']')).and_then(parse_ranges);
        if let Some(list) = list {
            attribute.set_type(value::Type::Ranges);
            attribute.ranges = Some(list.to_message());
        } else if let Some(number) = text.parse::<f64>().ok().filter(|n| n.is_finite()) {
            attribute.set_type(value::Type::Scalar);
            attribute.scalar = Some(value::Scalar { value: number });
        } else {
            attribute.set_type(value::Type::Text);
            attribute.text = Some(value::Text { value: text.to_owned() });
        }
        all.push(attribute);
    }
    Ok(all)
}

fn parts(text: &str) -> Result<Vec<(&str, &str, &str)>, TextError> {
    let parts = text.split(';').map(str::trim).filter(|p| !p.is_empty());
    parts
        .map(|part| match part.split_once(':') {
            Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
                Ok((name.trim(), value.trim(), part))
            }
            _ => Err(TextError::Part { part: part.to_owned() }),
        })
        .collect()
}

fn parse_ranges(list: &str) -> Option<RangeSet> {
    let mut set = RangeSet::default();
    for range in list.split(',') {
        let (begin, end) = range.split_once('-')?;
        let (begin, end): (u64, u64) = (begin.trim().parse().ok()?, end.trim().parse().ok()?);
        if begin > end {
            return None;
        }
        set.add(&RangeSet::from_range(begin, end));
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::Resources;

    #[test]
    fn resources_are_read_as_mesos_reads_them() {
        let all = parse_resources("cpus:2.5;mem: 2048; ports:[31000-31009,32000-32000]").unwrap();
        let resources = Resources::from_messages(&all);
        assert_eq!(resources.scalar("cpus"), Milli(2_500));
        assert_eq!(resources.scalar("mem"), Milli(2_048_000));
        assert_eq!(resources.ranges("ports").count(), 11);
        for bad in ["cpus", "cpus:x", "cpus:-1", "ports:[5-1]", "ports:[5", "cpus:1;cpus:2", ":1"] {
            assert!(parse_resources(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn attributes_have_the_type_that_their_text_shows() {
        let all = parse_attributes("rack:r1;gen:2016;ports:[1-2]").unwrap();
        let types: Vec<value::Type> = all.iter().map(|a| a.r#type()).collect();
        assert_eq!(types, [value::Type::Text, value::Type::Scalar, value::Type::Ranges]);
        assert!(parse_attributes("rack").is_err());
    }
}
