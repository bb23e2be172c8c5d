//! Unknown fields: found, named as upstream's strict decoder names them, and removed.
//!
//! First of the passes that the API server's write path makes over a decoded body. It says nothing about the values
//! of known fields; that is `check.rs`.

use serde_json::Value;

use crate::table::{Shape, Table, Type};

/// What the client asks to happen with unknown and duplicate fields (`fieldValidation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownFields {
    /// The request fails.
    Strict,
    /// The request succeeds with a warning for each. The default.
    Warn,
    /// They are dropped silently.
    Ignore,
}

/// Upstream reports at most this many, so that a hostile body does not grow the answer.
/// sigs.k8s.io/json internal/golang/encoding/json/kubernetes_patch.go, saveStrictError.
const REPORTS_MAX: usize = 100;

/// Removes fields that `ty` does not know, and returns their paths (`spec.containers[0].foo`), at most 100.
///
/// Contents of raw extensions and of free-form JSON are left alone. Values of the wrong JSON type are skipped.
pub fn prune(ty: &Type, value: &mut Value) -> Vec<String> {
    let mut walk = Walk { table: &ty.table, path: String::new(), found: Vec::new() };
    walk.object(ty.def, value);
    walk.found
}

struct Walk<'a> {
    table: &'a Table,
    path: String,
    found: Vec<String>,
}

impl Walk<'_> {
    fn object(&mut self, def: usize, value: &mut Value) {
        let Value::Object(map) = value else { return };
        let keep = self.table.def(def).preserve_unknown;
        map.retain(|key, inner| {
            let len = self.path.len();
            if len > 0 {
                self.path.push('.');
            }
            self.path.push_str(key);
            let known = self.table.field(def, key);
            match known {
                Some(field) => self.value(&field.shape, inner),
                None if !keep && self.found.len() < REPORTS_MAX => self.found.push(self.path.clone()),
                None => {}
            }
            self.path.truncate(len);
            known.is_some() || keep
        });
    }

    fn value(&mut self, shape: &Shape, value: &mut Value) {
        match (shape, value) {
            (Shape::Object(def), value) => self.object(*def, value),
            (Shape::List(inner) | Shape::Wrapped(inner), Value::Array(items)) => {
                for (at, item) in items.iter_mut().enumerate() {
                    let len = self.path.len();
                    self.path.push_str(&format!("[{at}]"));
                    self.value(inner, item);
                    self.path.truncate(len);
                }
            }
            (Shape::Map(inner), Value::Object(map)) => {
                for (key, item) in map.iter_mut() {
                    let len = self.path.len();
                    self.path.push('.');
                    self.path.push_str(key);
                    self.value(inner, item);
                    self.path.truncate(len);
                }
            }
            _ => {}
        }
    }
}
