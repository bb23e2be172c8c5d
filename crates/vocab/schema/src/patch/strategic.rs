//! Strategic merge patch: a merge patch that knows, from the schema, which lists merge by key.
//!
//! Directives (kubernetes/community, sig-api-machinery strategic-merge-patch.md, and apimachinery 1.37
//! pkg/util/strategicpatch): `$patch: replace|delete|merge`, `$retainKeys`, `$setElementOrder/<list>`,
//! `$deleteFromPrimitiveList/<list>`.

use std::mem;

use serde_json::{Map, Value};

use super::PatchError;
use crate::table::{Field, PatchStrategy, Shape, Table, Type};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList";

/// Applies `patch` to `target`, an object of `ty`.
///
/// # Errors
///
/// [`PatchError::Malformed`] for a malformed directive or a list element without its merge key,
/// [`PatchError::DoesNotApply`] for a field of the patch that the kind does not have but the object does.
pub fn strategic_merge_patch(ty: &Type, target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let (Value::Object(original), Value::Object(patch)) = (&mut *target, patch.clone()) else {
        return Err(PatchError::Malformed("invalid JSON document".into()));
    };
    let merge = Merge { table: &ty.table };
    let merged = merge.map(mem::take(original), patch, &Shape::Object(ty.def))?;
    *target = Value::Object(merged);
    Ok(())
}

struct Merge<'a> {
    table: &'a Table,
}

/// What the schema says of one member of an object.
struct Member<'a> {
    shape: &'a Shape,
    strategy: PatchStrategy,
    merge_key: Option<&'a str>,
}

impl<'a> Merge<'a> {
    fn map(
        &self,
        original: Map<String, Value>,
        mut patch: Map<String, Value>,
        shape: &'a Shape,
    ) -> Result<Map<String, Value>, PatchError> {
        match patch.remove(PATCH) {
            None => {}
            Some(Value::String(directive)) if directive == "replace" => return Ok(patch),
            Some(Value::String(directive)) if directive == "delete" => return Ok(Map::new()),
            Some(directive) => return Err(unknown_directive(&directive, &patch)),
        }
        let mut original = original;
        retain_keys(&mut original, &mut patch)?;
        self.ordered_lists(&mut original, &mut patch, shape)?;
        for (key, value) in patch {
            match list_of_directive(&key, DELETE_PRIMITIVES) {
                Some(list) => delete_primitives(&mut original, list?, &value),
                None => self.member(&mut original, key, value, shape)?,
            }
        }
        Ok(original)
    }

    /// Merges one member that is no directive.
    fn member(
        &self,
        original: &mut Map<String, Value>,
        key: String,
        patch: Value,
        shape: &'a Shape,
    ) -> Result<(), PatchError> {
        if patch.is_null() {
            original.remove(&key);
            return Ok(());
        }
        let merged = match (original.remove(&key), patch) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                let member = self.lookup(shape, &key)?;
                let merged = if member.strategy.replace { new } else { self.map(old, new, member.shape)? };
                Some(Value::Object(merged))
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                let member = self.lookup(shape, &key)?;
                Some(Value::Array(if member.strategy.merge { self.list(old, new, &member)? } else { new }))
            }
            (_, mut new) => {
                discard_nulls(&mut new);
                without_directives(new)
            }
        };
        if let Some(merged) = merged {
            original.insert(key, merged);
        }
        Ok(())
    }

    /// Merges a list by merge key, or as a set of scalars. Order: the patch's for its own elements, the original's
    /// for the rest, interleaved by the original's where it knows both.
    fn list(&self, original: Vec<Value>, patch: Vec<Value>, member: &Member<'a>) -> Result<Vec<Value>, PatchError> {
        let Some(first) = original.first().or(patch.first()) else { return Ok(original) };
        let key = match (first.is_object(), member.merge_key) {
            (false, _) => None,
            (true, Some(key)) => Some(key),
            (true, None) => return Err(PatchError::Malformed("cannot merge lists without merge key".into())),
        };
        let Some(key) = key else {
            let mut merged: Vec<Value> = Vec::new();
            for item in original.iter().chain(&patch) {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
            }
            return Ok(arrange(merged, &patch, &original, None));
        };
        let (mut original, patch) = special_elements(original, patch, key)?;
        let inner = element_shape(member.shape);
        let server_order = original.clone();
        for item in patch.iter().cloned() {
            let Value::Object(item) = item else { return Err(not_a_map(&item)) };
            let id = item.get(key).ok_or_else(|| no_merge_key(&item, key))?.clone();
            match original.iter_mut().find(|old| old.get(key) == Some(&id)) {
                Some(Value::Object(old)) => *old = self.map(mem::take(old), item, inner)?,
                Some(other) => return Err(not_a_map(other)),
                None => {
                    let mut item = Value::Object(item);
                    discard_nulls(&mut item);
                    original.push(without_directives(item).unwrap_or_default());
                }
            }
        }
        Ok(arrange(original, &patch, &server_order, Some(key)))
    }

    /// Handles `$setElementOrder/<list>` together with the list's own patch.
    fn ordered_lists(
        &self,
        original: &mut Map<String, Value>,
        patch: &mut Map<String, Value>,
        shape: &'a Shape,
    ) -> Result<(), PatchError> {
        let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(ELEMENT_ORDER)).cloned().collect();
        for directive in directives {
            let bad = || PatchError::Malformed("invalid patch format of setElementOrder list".into());
            let order = patch.remove(&directive);
            let Some(Value::Array(order)) = order else { return Err(bad()) };
            let list = list_of_directive(&directive, ELEMENT_ORDER).ok_or_else(bad)??.to_owned();
            let member = self.lookup(shape, &list)?;
            let take = |from: &mut Map<String, Value>| match from.remove(&list) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::Array(items)) => Ok(Some(items)),
                Some(other) => {
                    Err(PatchError::Malformed(format!("expected a slice, but received a {}", go_kind(&other))))
                }
            };
            let (old, new) = (take(original)?, take(patch)?);
            check_order(new.as_deref().unwrap_or_default(), &order, member.merge_key)?;
            let server_order = old.clone().unwrap_or_default();
            let merged = match (old, new) {
                (None, None) => continue,
                (Some(old), None) => old,
                (None, Some(new)) => new.into_iter().filter_map(without_directives).collect(),
                (Some(old), Some(new)) if member.strategy.merge => self.list(old, new, &member)?,
                (Some(_), Some(new)) => new,
            };
            original.insert(list, Value::Array(arrange(merged, &order, &server_order, member.merge_key)));
        }
        Ok(())
    }

    fn lookup(&self, shape: &'a Shape, key: &str) -> Result<Member<'a>, PatchError> {
        match shape {
            Shape::Object(def) => {
                let field: &'a Field = self.table.field(*def, key).ok_or_else(|| {
                    let text = format!("unable to find api field {key:?} in {}", self.table.def(*def).go_type());
                    PatchError::DoesNotApply(text)
                })?;
                Ok(Member { shape: &field.shape, strategy: field.strategy, merge_key: field.merge_key.as_deref() })
            }
            Shape::Map(inner) => Ok(Member { shape: inner, strategy: PatchStrategy::default(), merge_key: None }),
            // Free-form JSON merges as a plain merge patch would.
            other => Ok(Member { shape: other, strategy: PatchStrategy::default(), merge_key: None }),
        }
    }
}

fn element_shape(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(inner) | Shape::Wrapped(inner) => inner,
        other => other,
    }
}

/// Takes out list elements that carry `$patch`, and does what they say.
#[allow(clippy::type_complexity, reason = "the two lists that the caller goes on with")]
fn special_elements(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let Value::Object(map) = &item else { return Err(not_a_map(&item)) };
        match map.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
            None => plain.push(item),
            Some("delete") => {
                let id = map.get(key).ok_or_else(|| no_merge_key(map, key))?;
                original.retain(|old| old.get(key) != Some(id));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(PatchError::Malformed("merging lists cannot yet be specified in the patch".into()));
            }
            Some(other) => return Err(unknown_directive(&Value::from(other), map)),
        }
    }
    Ok(if replace { (plain, Vec::new()) } else { (original, plain) })
}

/// Sorts `merged`: elements in `order` by it, the others by `server_order`, and interleaves the two by `server_order`.
fn arrange(merged: Vec<Value>, order: &[Value], server_order: &[Value], key: Option<&str>) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item, key));
    let (mut listed, mut rest): (Vec<_>, Vec<_>) = merged.into_iter().partition(|item| place(order, item).is_some());
    listed.sort_by_key(|item| place(order, item));
    rest.sort_by_key(|item| place(server_order, item).unwrap_or(usize::MAX));
    let mut out = Vec::with_capacity(listed.len() + rest.len());
    let (mut listed, mut rest) = (listed.into_iter().peekable(), rest.into_iter().peekable());
    while let (Some(a), Some(b)) = (rest.peek(), listed.peek()) {
        let before = matches!((place(server_order, a), place(server_order, b)), (Some(a), Some(b)) if a < b);
        out.extend(if before { rest.next() } else { listed.next() });
    }
    out.extend(rest);
    out.extend(listed);
    out
}

fn same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    }
}

/// The patch's elements must appear in the order that `$setElementOrder` gives.
fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut order = order.iter();
    for item in patch.iter().filter(|item| item.get(PATCH).is_none()) {
        if !order.any(|listed| same(listed, item, key)) {
            let text = format!("The order in patch list:\n{}\n doesn't match {ELEMENT_ORDER} list", Value::from(patch));
            return Err(PatchError::Malformed(text));
        }
    }
    Ok(())
}

fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), PatchError> {
    let bad = || PatchError::Malformed("invalid patch format of retainKeys".into());
    let Some(retain) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(retain) = retain else { return Err(bad()) };
    let kept = |key: &str| retain.iter().any(|name| name == key);
    let directive = |key: &str| key.starts_with(ELEMENT_ORDER) || key.starts_with(DELETE_PRIMITIVES);
    if patch.iter().any(|(key, value)| !value.is_null() && !directive(key) && !kept(key)) {
        return Err(bad());
    }
    original.retain(|key, _| kept(key));
    Ok(())
}

fn delete_primitives(original: &mut Map<String, Value>, list: &str, doomed: &Value) {
    if let (Some(Value::Array(items)), Value::Array(doomed)) = (original.get_mut(list), doomed) {
        items.retain(|item| !doomed.contains(item));
    }
}

/// Returns the list that a directive key `<prefix>/<list>` names; none if the key is not that directive.
fn list_of_directive<'k>(key: &'k str, prefix: &str) -> Option<Result<&'k str, PatchError>> {
    let rest = key.strip_prefix(prefix)?;
    Some(rest.strip_prefix('/').ok_or_else(|| {
        let what = if prefix == ELEMENT_ORDER { "setElementOrder" } else { "primitive" };
        PatchError::Malformed(format!("invalid patch format of {what} list"))
    }))
}

/// Drops nulls from a value that has nothing to delete from.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// Removes directives from a value that has nothing to apply them to; none if the value is one itself.
///
/// Upstream leaves some of them in (those of new list elements); its decoder then meets them as unknown fields.
fn without_directives(value: Value) -> Option<Value> {
    let directive =
        |key: &str| key == RETAIN_KEYS || key.starts_with(ELEMENT_ORDER) || key.starts_with(DELETE_PRIMITIVES);
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(key, _)| !directive(key));
            Some(Value::Object(kept.filter_map(|(key, inner)| Some((key, without_directives(inner)?))).collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}

fn no_merge_key(map: &Map<String, Value>, key: &str) -> PatchError {
    PatchError::Malformed(format!("map: {} does not contain declared merge key: {key}", go_map(map)))
}

fn unknown_directive(directive: &Value, map: &Map<String, Value>) -> PatchError {
    let directive = directive.as_str().map_or_else(|| directive.to_string(), str::to_owned);
    PatchError::Malformed(format!("unknown patch type: {directive} in map: {}", go_map(map)))
}

fn not_a_map(value: &Value) -> PatchError {
    PatchError::Malformed(format!("expected a map, but received a {}", go_kind(value)))
}

/// Go's `%v` of a JSON object: keys sorted, no quotes.
fn go_map(map: &Map<String, Value>) -> String {
    let members: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", go_value(value))).collect();
    format!("map[{}]", members.join(" "))
}

fn go_value(value: &Value) -> String {
    match value {
        Value::Object(map) => go_map(map),
        Value::Array(items) => format!("[{}]", items.iter().map(go_value).collect::<Vec<_>>().join(" ")),
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".into(),
        other => other.to_string(),
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}
