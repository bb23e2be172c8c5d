//! Defaults: what upstream fills in when a client leaves a field out.
//!
//! Runs after pruning, before admission and validation. Constant defaults are rows (`rows.rs`), the few that depend on
//! other fields are functions in one table (`computed.rs`). Defaults that need the cluster (cluster IPs, node ports,
//! service account names) are `core/registry`'s.

mod computed;
mod rows;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::canonical::leaves_out;
use crate::table::{Definition, Shape, Table, Type};

pub(crate) use computed::Compute;

/// Fills in the defaults of `ty`, parents before their parts.
pub fn default(ty: &Type, value: &mut Value) {
    if let Value::Object(map) = value {
        object(&ty.table, ty.def, map);
    }
}

/// Puts the overlay of hand-written defaults into freshly read definitions.
///
/// # Panics
///
/// When a row names a definition or field that is not there, or is not JSON; a test reads the table.
pub(crate) fn overlay(defs: &mut [Definition]) {
    let index: std::collections::BTreeMap<String, usize> =
        defs.iter().enumerate().map(|(at, def)| (def.name.to_string(), at)).collect();
    let find = |name: &str| {
        let full = if name.starts_with("io.") { name.to_owned() } else { format!("io.k8s.api.{name}") };
        *index.get(&full).unwrap_or_else(|| panic!("default of unknown definition {full}"))
    };
    for &(def, field, json) in rows::ROWS {
        let at = find(def);
        let own = defs[at].fields.iter_mut().find(|own| own.name == field);
        own.unwrap_or_else(|| panic!("default of unknown field {def}.{field}")).default =
            Some(serde_json::from_str(json).unwrap_or_else(|err| panic!("default of {def}.{field}: {err}")));
    }
    for &(def, compute) in computed::COMPUTED {
        defs[find(def)].compute = Some(compute);
    }
}

fn object(table: &Table, def: usize, map: &mut Map<String, Value>) {
    for field in table.fields(def) {
        let Some(default) = &field.default else { continue };
        let unset = map.get(field.name.as_ref()).is_none_or(|value| leaves_out(field, value));
        if unset {
            map.insert(field.name.to_string(), default.clone());
        }
    }
    if let Some(compute) = table.def(def).compute {
        compute(map);
    }
    for field in table.fields(def) {
        if let Some(value) = map.get_mut(field.name.as_ref()) {
            shaped(table, &field.shape, value);
        } else if let (Shape::Object(inner), false) = (&field.shape, field.pointer) {
            // Structs by value are always there in Go, and so their defaults are applied.
            let mut part = Map::new();
            object(table, *inner, &mut part);
            if !part.is_empty() {
                map.insert(field.name.to_string(), Value::Object(part));
            }
        }
    }
}

fn shaped(table: &Table, shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Object(def), Value::Object(map)) => object(table, *def, map),
        (Shape::List(inner) | Shape::Wrapped(inner), Value::Array(items)) => {
            items.iter_mut().for_each(|item| shaped(table, inner, item));
        }
        (Shape::Map(inner), Value::Object(map)) => map.values_mut().for_each(|item| shaped(table, inner, item)),
        _ => {}
    }
}
