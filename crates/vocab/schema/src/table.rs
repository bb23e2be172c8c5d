//! The one schema form: definitions, their fields and shapes, and `Type`, a handle on one of them.
//!
//! Everything else in this crate walks a JSON value along a `Type`. Built-in kinds come from the committed table
//! (`builtin.rs`); a custom kind's structural schema becomes a `Table` of its own in the same form, its inline
//! objects as unnamed definitions. No validation rules live here: what the API server requires of a kind beyond its
//! structure is `core/registry`'s.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::defaults::Compute;

/// A name in a table: borrowed from the built-in table's text, owned in a custom one.
pub type Name = Cow<'static, str>;

/// Group, version and kind; the core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gvk {
    /// API group, e.g. `apps`; empty for the core group.
    pub group: Name,
    /// Version within the group, e.g. `v1`.
    pub version: Name,
    /// Kind, e.g. `Deployment`.
    pub kind: Name,
}

impl Gvk {
    /// Returns the `apiVersion` that objects of this kind carry.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// What a JSON value of a field looks like, and so its protobuf wire form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    String,
    /// Bytes, standard base64 in JSON.
    Bytes,
    /// A boolean.
    Bool,
    /// A 32-bit signed integer.
    Int32,
    /// A 64-bit signed integer.
    Int64,
    /// A double.
    Double,
    /// `resource.Quantity`: a string, or a number on input.
    Quantity,
    /// `intstr.IntOrString`.
    IntOrString,
    /// `metav1.Time`: RFC 3339 with seconds.
    Time,
    /// `metav1.MicroTime`: RFC 3339 with microseconds.
    MicroTime,
    /// `metav1.Duration`: Go's duration text.
    Duration,
    /// `metav1.FieldsV1`: any JSON object, raw JSON on the wire.
    FieldsV1,
    /// Any JSON value (`apiextensions/v1` `JSON`), raw JSON on the wire.
    Any,
    /// `runtime.RawExtension`: any JSON object, usually a whole object of some kind.
    RawExtension,
    /// `JSONSchemaPropsOrArray`: a schema or a list of schemas.
    SchemaOrArray,
    /// `JSONSchemaPropsOrBool`: a schema or a boolean.
    SchemaOrBool,
    /// `JSONSchemaPropsOrStringArray`: a schema or a list of strings.
    SchemaOrStrings,
    /// A list.
    List(Box<Shape>),
    /// An object used as a map from strings.
    Map(Box<Shape>),
    /// A list in JSON, a message with one repeated field in protobuf (`authorization/v1` `ExtraValue`).
    Wrapped(Box<Shape>),
    /// An object of a definition of the same table, by its index.
    Object(usize),
}

/// How strategic merge patch treats a field (`patchStrategy` of the Go struct tag).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists merge by key, or as sets of primitives, instead of being replaced.
    pub merge: bool,
    /// Fields of the object that the patch does not name in `$retainKeys` are dropped.
    pub retain_keys: bool,
    /// The object is replaced, not merged.
    pub replace: bool,
}

/// How server-side apply treats a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// Owned and replaced as a whole; also what a list without a list type is.
    #[default]
    Atomic,
    /// A set of scalars.
    Set,
    /// Keyed by `Field::list_keys`.
    Map,
}

/// One field of a definition.
#[derive(Clone, Debug)]
pub struct Field {
    /// JSON name; of an inline field, its Go name (which JSON never shows).
    pub name: Name,
    /// Shape of the value.
    pub shape: Shape,
    /// Protobuf field number; 0 where the field has none.
    pub number: u32,
    /// Listed as `required` by the published definition.
    pub required: bool,
    /// A Go pointer: an explicit zero differs from an absent field.
    pub pointer: bool,
    /// Go leaves out an empty value (`omitempty`).
    pub omit_empty: bool,
    /// Go leaves out a zero struct (`omitzero`).
    pub omit_zero: bool,
    /// Its fields are the parent's in JSON, and a message of their own in protobuf.
    pub inline: bool,
    /// The map or object is owned as a whole in server-side apply.
    pub atomic: bool,
    /// How server-side apply treats it, if a list.
    pub list_type: ListType,
    /// The keys of a list of type `Map`.
    pub list_keys: Vec<Name>,
    /// The key by which strategic merge patch merges a list of objects.
    pub merge_key: Option<Name>,
    /// How strategic merge patch treats it.
    pub strategy: PatchStrategy,
    /// What a decoding error calls the type, where that is not derived from the shape.
    pub go_type: Option<Name>,
    /// Published values of an enumeration; empty if it is none.
    pub values: Vec<Name>,
    /// What an absent field is taken to be.
    pub default: Option<Value>,
}

/// A named set of fields: a kind, or a part of one.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Published name, e.g. `io.k8s.api.core.v1.PodSpec`.
    pub name: Name,
    /// The kinds that have this definition; empty for parts of kinds.
    pub gvks: Vec<Gvk>,
    /// The object is owned as a whole in server-side apply.
    pub atomic: bool,
    /// Unknown fields are kept (`x-kubernetes-preserve-unknown-fields` of custom kinds).
    pub preserve_unknown: bool,
    /// Own fields, inline ones unflattened, in the order of the source.
    pub fields: Vec<Field>,
    /// Fills in defaults that depend on other fields.
    pub(crate) compute: Option<Compute>,
    /// JSON fields, inline ones flattened, sorted by name: definition and field index.
    pub(crate) json: Vec<(usize, usize)>,
}

impl Definition {
    /// Returns the Go type name that decoding errors show, e.g. `v1.PodSpec`.
    #[must_use]
    pub fn go_type(&self) -> &str {
        let cut = self.name.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
        &self.name[cut..]
    }

    /// Returns the last part of the name, e.g. `PodSpec`.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

/// A closed set of definitions that refer to each other by index.
#[derive(Debug)]
pub struct Table {
    defs: Vec<Definition>,
    by_name: BTreeMap<Name, usize>,
    by_gvk: BTreeMap<Gvk, usize>,
}

impl Table {
    /// Makes a table of `defs`, whose `Shape::Object` indexes are positions in `defs`.
    ///
    /// # Panics
    ///
    /// When an index lies outside `defs`: the caller made the indexes.
    #[must_use]
    pub fn new(mut defs: Vec<Definition>) -> Self {
        let json: Vec<_> = (0..defs.len()).map(|def| flatten(&defs, def)).collect();
        for (def, json) in defs.iter_mut().zip(json) {
            def.json = json;
        }
        let by_name = defs.iter().enumerate().map(|(at, def)| (def.name.clone(), at)).collect();
        let by_gvk =
            defs.iter().enumerate().flat_map(|(at, def)| def.gvks.iter().map(move |gvk| (gvk.clone(), at))).collect();
        Self { defs, by_name, by_gvk }
    }

    /// Returns the definition at `index`.
    #[must_use]
    pub fn def(&self, index: usize) -> &Definition {
        &self.defs[index]
    }

    /// Returns all definitions, in table order.
    #[must_use]
    pub fn defs(&self) -> &[Definition] {
        &self.defs
    }

    /// Returns the JSON field `name` of the definition at `index`.
    #[must_use]
    pub fn field(&self, index: usize, name: &str) -> Option<&Field> {
        let json = &self.defs[index].json;
        let at = json.binary_search_by(|&(def, field)| self.defs[def].fields[field].name.as_ref().cmp(name)).ok()?;
        let (def, field) = json[at];
        Some(&self.defs[def].fields[field])
    }

    /// Returns the JSON fields of the definition at `index`, inline ones flattened, by name.
    pub fn fields(&self, index: usize) -> impl Iterator<Item = &Field> {
        self.defs[index].json.iter().map(|&(def, field)| &self.defs[def].fields[field])
    }

    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn index_of_gvk(&self, gvk: &Gvk) -> Option<usize> {
        self.by_gvk.get(gvk).copied()
    }
}

/// Resolves a definition's JSON fields, inline structs opened.
fn flatten(defs: &[Definition], def: usize) -> Vec<(usize, usize)> {
    let mut out = Vec::with_capacity(defs[def].fields.len());
    for (at, field) in defs[def].fields.iter().enumerate() {
        match (field.inline, &field.shape) {
            (true, Shape::Object(inner)) => out.extend(flatten(defs, *inner)),
            _ => out.push((def, at)),
        }
    }
    out.sort_by(|a, b| defs[a.0].fields[a.1].name.cmp(&defs[b.0].fields[b.1].name));
    out
}

/// A handle on one definition; cheap to clone.
#[derive(Clone, Debug)]
pub struct Type {
    pub(crate) table: Arc<Table>,
    pub(crate) def: usize,
}

impl Type {
    /// Makes a handle on the definition at `def` of `table`.
    #[must_use]
    pub fn new(table: Arc<Table>, def: usize) -> Self {
        Self { table, def }
    }

    /// Returns the definition.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        self.table.def(self.def)
    }

    /// Returns the table that the definition is part of.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Returns the JSON field `name`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.table.field(self.def, name)
    }

    /// Returns the JSON fields by name.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.table.fields(self.def)
    }
}
