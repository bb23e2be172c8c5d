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
    table.index_of_gvk(&gvk).map(|def| Type::new(Arc::clone(table), def))
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
    Definition { name: name.into(), gvks, atomic: map_type == "atomic", preserve_unknown: false, fields: Vec::new(), compute: None, json: Vec::new() }
}

fn parse_field(line: &'static str, names: &BTreeMap<&str, usize>) -> Field {
    let mut columns = line.split('\t');
    let mut next = || columns.next().unwrap_or_default();
    let (name, shape, number, flags) = (next(), next(), next(), next());
    let (list_type, list_keys, merge_key, strategies, go_type, values) = (next(), next(), next(), next(), next(), next());
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
        _ => Shape::Object(*names.get(rest).expect("the generator reports dangling names; a test reads the whole table")),
    }
}

fn split(text: &'static str) -> Vec<Name> {
    text.split(',').filter(|part| !part.is_empty()).map(Cow::Borrowed).collect()
}
