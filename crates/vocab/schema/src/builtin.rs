//! The built-in kinds: reads the committed table (`data/table.txt`, written by `generate/generate.py`) once.
//!
//! Reading takes a few milliseconds and the result lives as long as the process. Names are slices of the embedded
//! text. Descriptions are apart (`descriptions.rs`), since only OpenAPI documents need them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::defaults;
use crate::table::{Definition, Field, Gvk, ListType, Name, PatchStrategy, Shape, Table, Type};

const TEXT: &str = include_str!("../data/table.txt");

/// Returns the type of a built-in kind; the core group is the empty string.
#[must_use]
pub fn definition(group: &str, version: &str, kind: &str) -> Option<Type> {
    let gvk = Gvk {
        group: Cow::Owned(group.to_owned()),
        version: Cow::Owned(version.to_owned()),
        kind: Cow::Owned(kind.to_owned()),
    };
    let table = builtin();
    let index = table.index_of_gvk(&gvk).or_else(|| options(&gvk).and_then(|gvk| table.index_of_gvk(&gvk)));
    index.map(|def| Type::new(Arc::clone(table), def))
}

/// Clients send options and receive watch events in the group and version of the resource at hand, e.g. a
/// `DeleteOptions` of `apps/v1`. apimachinery 1.37 pkg/apis/meta/v1/register.go, AddToGroupVersion.
fn options(gvk: &Gvk) -> Option<Gvk> {
    const EVERYWHERE: [&str; 7] =
        ["CreateOptions", "DeleteOptions", "GetOptions", "ListOptions", "PatchOptions", "UpdateOptions", "WatchEvent"];
    EVERYWHERE.contains(&gvk.kind.as_ref()).then(|| Gvk {
        group: "".into(),
        version: "v1".into(),
        kind: gvk.kind.clone(),
    })
}

/// Returns the type of a built-in kind by the `apiVersion` and `kind` that its objects carry.
#[must_use]
pub fn definition_of(api_version: &str, kind: &str) -> Option<Type> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    definition(group, version, kind)
}

/// Returns a built-in type by its published name, e.g. `io.k8s.api.core.v1.PodSpec`.
#[must_use]
pub fn definition_named(name: &str) -> Option<Type> {
    let table = builtin();
    table.index_of(name).map(|def| Type::new(Arc::clone(table), def))
}

/// Returns the table of all built-in kinds.
#[must_use]
pub fn builtin() -> &'static Arc<Table> {
    static TABLE: OnceLock<Arc<Table>> = OnceLock::new();
    TABLE.get_or_init(|| Arc::new(Table::new(parse(TEXT))))
}

fn parse(text: &'static str) -> Vec<Definition> {
    let names: BTreeMap<&str, usize> = text
        .lines()
        .filter_map(|line| line.strip_prefix("D\t"))
        .enumerate()
        .map(|(at, line)| (line.split('\t').next().unwrap_or_default(), at))
        .collect();
    let mut defs: Vec<Definition> = Vec::with_capacity(names.len());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("D\t") {
            defs.push(parse_definition(rest));
        } else if let (Some(rest), Some(def)) = (line.strip_prefix("F\t"), defs.last_mut()) {
            def.fields.push(parse_field(rest, &names));
        }
    }
    defaults::overlay(&mut defs);
    defs
}

fn parse_definition(line: &'static str) -> Definition {
    let mut columns = line.split('\t');
    let mut next = || columns.next().unwrap_or_default();
    let (name, gvks, map_type) = (next(), next(), next());
    let gvks = gvks
        .split(';')
        .filter(|gvk| !gvk.is_empty())
        .map(|gvk| {
            let mut parts = gvk.split(',').map(Cow::Borrowed);
            let mut part = || parts.next().unwrap_or_default();
            Gvk { group: part(), version: part(), kind: part() }
        })
        .collect();
    Definition {
        name: name.into(),
        gvks,
        atomic: map_type == "atomic",
        preserve_unknown: false,
        fields: Vec::new(),
        compute: None,
        json: Vec::new(),
    }
}

fn parse_field(line: &'static str, names: &BTreeMap<&str, usize>) -> Field {
    let mut columns = line.split('\t');
    let mut next = || columns.next().unwrap_or_default();
    let (name, shape, number, flags) = (next(), next(), next(), next());
    let (list_type, list_keys, merge_key, strategies, go_type, values) =
        (next(), next(), next(), next(), next(), next());
    let flag = |c| flags.contains(c);
    Field {
        name: name.strip_prefix('-').unwrap_or(name).into(),
        shape: parse_shape(shape, names),
        number: number.parse().expect("the generator writes decimal numbers; a test reads the whole table"),
        required: flag('r'),
        pointer: flag('p'),
        omit_empty: flag('e'),
        omit_zero: flag('z'),
        inline: flag('n'),
        atomic: flag('m'),
        list_type: match list_type {
            "map" => ListType::Map,
            "set" => ListType::Set,
            _ => ListType::Atomic,
        },
        list_keys: split(list_keys),
        merge_key: (!merge_key.is_empty()).then_some(merge_key.into()),
        strategy: PatchStrategy {
            merge: strategies.contains("merge"),
            retain_keys: strategies.contains("retainKeys"),
            replace: strategies.contains("replace"),
        },
        go_type: (!go_type.is_empty()).then_some(go_type.into()),
        values: split(values),
        default: None,
    }
}

fn parse_shape(text: &str, names: &BTreeMap<&str, usize>) -> Shape {
    let (first, rest) = text.split_at(1);
    let inner = || Box::new(parse_shape(rest, names));
    match first {
        "s" => Shape::String,
        "y" => Shape::Bytes,
        "b" => Shape::Bool,
        "i" => Shape::Int32,
        "l" => Shape::Int64,
        "d" => Shape::Double,
        "q" => Shape::Quantity,
        "x" => Shape::IntOrString,
        "t" => Shape::Time,
        "u" => Shape::MicroTime,
        "r" => Shape::Duration,
        "f" => Shape::FieldsV1,
        "j" => Shape::Any,
        "e" => Shape::RawExtension,
        "A" => Shape::SchemaOrArray,
        "B" => Shape::SchemaOrBool,
        "C" => Shape::SchemaOrStrings,
        "[" => Shape::List(inner()),
        "{" => Shape::Map(inner()),
        "(" => Shape::Wrapped(inner()),
        _ => {
            Shape::Object(*names.get(rest).expect("the generator reports dangling names; a test reads the whole table"))
        }
    }
}

fn split(text: &'static str) -> Vec<Name> {
    text.split(',').filter(|part| !part.is_empty()).map(Cow::Borrowed).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{builtin, definition, definition_named, definition_of};
    use crate::table::Shape;

    #[test]
    fn the_whole_table_is_read_and_hangs_together() {
        let table = builtin();
        assert!(table.defs().len() > 700, "{}", table.defs().len());
        for def in table.defs() {
            let numbers: Vec<u32> = def.fields.iter().map(|field| field.number).filter(|number| *number > 0).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "{}: numbers rise and are unique", def.name);
            let names: BTreeSet<&str> = def.fields.iter().map(|field| field.name.as_ref()).collect();
            assert_eq!(names.len(), def.fields.len(), "{}: names are unique", def.name);
            for field in &def.fields {
                assert_eq!(
                    field.inline,
                    field.inline && matches!(field.shape, Shape::Object(_)),
                    "{}.{}",
                    def.name,
                    field.name
                );
                if let (Some(key), Shape::List(inner)) = (&field.merge_key, &field.shape) {
                    let Shape::Object(inner) = **inner else {
                        panic!("{}.{}: keyed list of scalars", def.name, field.name)
                    };
                    assert!(table.field(inner, key).is_some(), "{}.{}: no merge key {key}", def.name, field.name);
                }
            }
        }
    }

    #[test]
    fn kinds_are_found_by_version_and_parts_by_name() {
        assert_eq!(definition("apps", "v1", "Deployment").unwrap().definition().name, "io.k8s.api.apps.v1.Deployment");
        assert_eq!(definition_of("v1", "Pod").unwrap().definition().gvks[0].api_version(), "v1");
        assert_eq!(definition_named("io.k8s.api.core.v1.PodSpec").unwrap().definition().go_type(), "v1.PodSpec");
        assert!(definition("apps", "v2", "Deployment").is_none());
        assert!(definition_of("v1", "Deployment").is_none());
    }

    #[test]
    fn options_are_found_in_every_group_and_version() {
        for api_version in ["v1", "apps/v1", "meta.k8s.io/v1"] {
            let ty = definition_of(api_version, "DeleteOptions").unwrap();
            assert_eq!(ty.definition().short_name(), "DeleteOptions", "{api_version}");
        }
        assert!(definition_of("apps/v1", "Status").is_none());
    }

    #[test]
    fn every_kind_of_the_resource_table_has_a_definition_and_a_list() {
        for resource in km_api::resource::ALL {
            let find = |kind: &str| definition(resource.group, resource.version, kind);
            assert!(find(resource.kind).is_some(), "{}", resource.kind);
            if resource.persistence == km_api::resource::Persistence::Stored {
                assert!(find(&format!("{}List", resource.kind)).is_some(), "{}List", resource.kind);
            }
        }
    }
}
