//! Random instances of every kind, built from the schema itself: what must hold for all of them.

use km_schema::{Shape, Table, Type, builtin, canonical, check, default, patch, proto, prune};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

/// A small deterministic source of choices.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn word(&mut self) -> String {
        ["a", "web", "x-1", "é", "nginx:1.27", "\"q\"", "a/b"][self.roll(7) as usize].to_owned()
    }

    /// A random instance of a definition, at most `depth` levels deep.
    pub(crate) fn object(&mut self, table: &Table, def: usize, depth: u32) -> Value {
        let mut map = Map::new();
        for field in table.fields(def) {
            // A field without a protobuf number does not survive protobuf, but for the two that the envelope carries.
            // A required time has no zero that k8s-openapi could read.
            let wanted = field.required && field.shape == Shape::Time;
            if field.number == 0 || (self.roll(3) > 0 && !wanted) {
                continue;
            }
            map.insert(field.name.to_string(), self.value(table, &field.shape, depth));
        }
        Value::Object(map)
    }

    fn value(&mut self, table: &Table, shape: &Shape, depth: u32) -> Value {
        let deep = depth == 0;
        match shape {
            Shape::String => self.word().into(),
            Shape::Bytes => "aGVsbG8=".into(),
            Shape::Bool => (self.roll(2) == 0).into(),
            Shape::Int32 => [0, 1, -1, i32::MAX, i32::MIN][self.roll(5) as usize].into(),
            Shape::Int64 => [0, 1, -1, i64::MAX, i64::MIN][self.roll(5) as usize].into(),
            Shape::Double => [0.5, -2.25][self.roll(2) as usize].into(),
            Shape::Quantity => ["100m", "1Gi", "2"][self.roll(3) as usize].into(),
            Shape::IntOrString => [json!(0), json!(8080), json!("25%"), json!("")][self.roll(4) as usize].clone(),
            Shape::Time => "2026-11-22T00:30:00Z".into(),
            Shape::MicroTime => "2026-11-22T00:30:00.000123Z".into(),
            Shape::Duration => ["5m0s", "1h2m3.5s", "150ms", "-2s"][self.roll(4) as usize].into(),
            Shape::FieldsV1 => json!({"f:metadata": {"f:labels": {}}}),
            Shape::RawExtension => json!({"apiVersion": "v1", "kind": "Thing", "n": [1, null]}),
            Shape::Any => [json!(1), json!("x"), json!([true]), json!({"a": 1})][self.roll(4) as usize].clone(),
            Shape::SchemaOrArray => [json!({"type": "string"}), json!([{"type": "string"}, {"format": "int32"}])]
                [self.roll(2) as usize]
                .clone(),
            Shape::SchemaOrBool => {
                [json!({"type": "string"}), json!(true), json!(false)][self.roll(3) as usize].clone()
            }
            Shape::SchemaOrStrings => [json!({"type": "string"}), json!(["a", "b"])][self.roll(2) as usize].clone(),
            Shape::List(_) | Shape::Wrapped(_) if deep => Value::Array(Vec::new()),
            Shape::Map(_) | Shape::Object(_) if deep => Value::Object(Map::new()),
            Shape::List(inner) | Shape::Wrapped(inner) => {
                (0..=self.roll(2)).map(|_| self.value(table, inner, depth - 1)).collect()
            }
            Shape::Map(inner) => {
                let members = (0..=self.roll(2)).map(|at| (format!("k{at}"), self.value(table, inner, depth - 1)));
                Value::Object(members.collect())
            }
            Shape::Object(def) => self.object(table, *def, depth - 1),
        }
    }
}

fn for_every_kind(depth: u32, cases: u32, mut law: impl FnMut(&Type, Value) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let table = builtin();
    let kinds: Vec<usize> = (0..table.defs().len()).filter(|&def| !table.def(def).gvks.is_empty()).collect();
    let seeds = runner.new_rng().random::<u64>();
    for (at, &def) in kinds.iter().enumerate() {
        for case in 0..u64::from(cases) {
            let ty = Type::new(std::sync::Arc::clone(table), def);
            let mut value = Dice(seeds ^ (at as u64) << 32 ^ case).object(table, def, depth);
            canonical(&ty, &mut value);
            if let Err(err) = law(&ty, value.clone()) {
                panic!("{}: {err}\n{value:#}", ty.definition().name);
            }
        }
    }
}

#[test]
fn protobuf_there_and_back_is_the_same_value() {
    for_every_kind(7, 12, |ty, value| {
        let bytes = proto::encode_message(ty, &value);
        let back = proto::decode_message(ty, &bytes).map_err(|err| TestCaseError::fail(err.to_string()))?;
        prop_assert_eq!(&back, &value);
        prop_assert_eq!(proto::encode_message(ty, &back), bytes);
        Ok(())
    });
}

#[test]
fn instances_have_no_unknown_fields_and_no_type_errors() {
    for_every_kind(7, 4, |ty, value| {
        let mut pruned = value.clone();
        prop_assert_eq!(prune(ty, &mut pruned), Vec::<String>::new());
        prop_assert_eq!(&pruned, &value);
        prop_assert_eq!(check(ty, &value), vec![]);
        Ok(())
    });
}

#[test]
fn canonical_and_default_change_nothing_the_second_time() {
    for_every_kind(6, 4, |ty, value| {
        let mut again = value.clone();
        canonical(ty, &mut again);
        prop_assert_eq!(&again, &value);
        let mut defaulted = value;
        default(ty, &mut defaulted);
        canonical(ty, &mut defaulted);
        let mut twice = defaulted.clone();
        default(ty, &mut twice);
        canonical(ty, &mut twice);
        prop_assert_eq!(twice, defaulted);
        Ok(())
    });
}

/// The merge patch that makes `to` of `from`.
fn diff(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, new) in to {
        match from.get(key) {
            Some(old) if old == new => {}
            Some(old) => drop(patch.insert(key.clone(), diff(old, new))),
            None => drop(patch.insert(key.clone(), new.clone())),
        }
    }
    Value::Object(patch)
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[test]
fn a_merge_patch_of_a_difference_leaves_no_difference() {
    let mut last: Option<Value> = None;
    for_every_kind(5, 3, |_, mut value| {
        // A merge patch cannot say null.
        without_nulls(&mut value);
        if let Some(mut from) = last.replace(value.clone()) {
            let patch = diff(&from, &value);
            patch::merge_patch(&mut from, &patch).map_err(|err| TestCaseError::fail(err.to_string()))?;
            prop_assert_eq!(&from, &value);
            prop_assert_eq!(diff(&from, &value), json!({}));
        }
        Ok(())
    });
}

#[test]
fn a_strategic_patch_of_itself_changes_nothing_and_patching_twice_is_patching_once() {
    let mut last: Option<(String, Value)> = None;
    for_every_kind(5, 6, |ty, mut value| {
        without_nulls(&mut value);
        unique_merge_keys(ty.table(), &Shape::Object(index_of(ty)), &mut value, &mut 0);
        let mut same = value.clone();
        strategic(ty, &mut same, &value)?;
        prop_assert_eq!(&same, &value);
        let name = ty.definition().name.to_string();
        if let Some((last_name, mut once)) = last.replace((name.clone(), value.clone()))
            && last_name == name
        {
            strategic(ty, &mut once, &value)?;
            let mut twice = once.clone();
            strategic(ty, &mut twice, &value)?;
            prop_assert_eq!(twice, once);
        }
        Ok(())
    });
}

fn strategic(ty: &Type, target: &mut Value, patch: &Value) -> Result<(), TestCaseError> {
    patch::strategic_merge_patch(ty, target, patch).map_err(|err| TestCaseError::fail(err.to_string()))
}

fn index_of(ty: &Type) -> usize {
    let name = &ty.definition().name;
    ty.table().defs().iter().position(|def| def.name == *name).unwrap()
}

/// Makes lists that merge into sets, as valid objects have them.
fn unique_merge_keys(table: &Table, shape: &Shape, value: &mut Value, next: &mut u32) {
    match (shape, value) {
        (Shape::Object(def), Value::Object(map)) => {
            for field in table.fields(*def) {
                let Some(inner) = map.get_mut(field.name.as_ref()) else { continue };
                if let (true, Value::Array(items)) = (field.strategy.merge, &mut *inner) {
                    match &field.merge_key {
                        Some(key) => items.iter_mut().for_each(|item| {
                            *next += 1;
                            item[key.as_ref()] = format!("key-{next}").into();
                        }),
                        None => {
                            let mut seen: Vec<Value> = Vec::new();
                            items.retain(|item| {
                                !seen.contains(item) && {
                                    seen.push(item.clone());
                                    true
                                }
                            });
                        }
                    }
                }
                unique_merge_keys(table, &field.shape, inner, next);
            }
        }
        (Shape::List(inner) | Shape::Wrapped(inner), Value::Array(items)) => {
            items.iter_mut().for_each(|item| unique_merge_keys(table, inner, item, next));
        }
        (Shape::Map(inner), Value::Object(map)) => {
            map.values_mut().for_each(|item| unique_merge_keys(table, inner, item, next))
        }
        _ => {}
    }
}

/// Puts values of other types in random places.
fn damage(dice: &mut Dice, value: &mut Value) {
    if dice.roll(12) == 0 {
        let others = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1e300),
            json!("2026-\u{e9}\u{e9}\u{e9}"),
            json!([[]]),
            json!({"$patch": "delete"}),
        ];
        *value = others[dice.roll(7) as usize].clone();
        return;
    }
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(|inner| damage(dice, inner));
            if dice.roll(8) == 0 {
                map.insert(
                    ["$retainKeys", "$setElementOrder/containers", "nope", "name"][dice.roll(4) as usize].into(),
                    json!(["a"]),
                );
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| damage(dice, item)),
        _ => {}
    }
}

#[test]
fn nothing_panics_on_values_of_the_wrong_type() {
    let mut seed = 0;
    let mut wrong = 0;
    for_every_kind(6, 20, |ty, whole| {
        seed += 1;
        let mut damaged = whole.clone();
        damage(&mut Dice(seed), &mut damaged);
        wrong += check(ty, &damaged).len();
        let _ = patch::strategic_merge_patch(ty, &mut whole.clone(), &damaged);
        let _ = patch::strategic_merge_patch(ty, &mut damaged.clone(), &whole);
        let _ = patch::merge_patch(&mut damaged.clone(), &whole);
        let _ = proto::encode(ty, &damaged);
        default(ty, &mut damaged);
        prune(ty, &mut damaged);
        canonical(ty, &mut damaged);
        default(ty, &mut damaged);
        Ok(())
    });
    assert!(wrong > 1_000, "{wrong}");
}
