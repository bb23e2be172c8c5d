//! Protobuf to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use super::wire::{Reader, Wire};
use super::{MAGIC, TypeMeta};
use crate::builtin::{definition_named, definition_of};
use crate::canonical;
use crate::table::{Shape, Table, Type};

/// Bytes that are not the protobuf of a known kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first four bytes are not `MAGIC`.
    #[error("provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}")]
    NoMagic,
    /// The message ends within a field.
    #[error("unexpected EOF")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("proto: integer overflow")]
    Overflow,
    /// A field number or wire type that cannot be.
    #[error("proto: illegal tag {0}")]
    Tag(u64),
    /// A field on the wire in another form than its type has.
    #[error("proto: wrong wireType for field {0}")]
    WireType(String),
    /// Messages nested too deeply.
    #[error("proto: exceeded max depth")]
    Depth,
    /// A body compressed or encoded in another way than plain protobuf.
    #[error("unsupported content of runtime.Unknown: {0}")]
    Content(String),
    /// A kind that the table does not have.
    #[error("no kind \"{kind}\" is registered for version \"{api_version}\"")]
    UnknownKind {
        /// The envelope's group and version.
        api_version: String,
        /// The envelope's kind.
        kind: String,
    },
    /// JSON within a raw field that is not JSON.
    #[error("{0}")]
    Json(String),
}

/// Bound on nested messages, far above any real object; with it and the one on JSON (`parse.rs`), decoding an embedded
/// object stays well within a thread's 2 MiB of stack, in debug builds too (a test goes to both).
const DEPTH_MAX: usize = 128;
/// What an envelope within an object counts as: each takes several frames. Real objects nest two (a watch event in
/// nothing, an object in it).
const ENVELOPE_DEPTH: usize = 16;

/// Decodes an envelope and the built-in kind in it, `apiVersion` and `kind` filled in.
///
/// Unknown fields are dropped, as gogo's generated code does: protobuf has no strict mode.
///
/// # Errors
///
/// [`DecodeError`]; `UnknownKind` when the envelope's kind is not built in.
pub fn decode(bytes: &[u8]) -> Result<(TypeMeta, Value), DecodeError> {
    envelope(bytes, 0)
}

fn envelope(bytes: &[u8], depth: usize) -> Result<(TypeMeta, Value), DecodeError> {
    if depth > DEPTH_MAX {
        return Err(DecodeError::Depth);
    }
    let body = bytes.strip_prefix(&MAGIC).ok_or(DecodeError::NoMagic)?;
    let mut meta = TypeMeta::default();
    let mut raw: &[u8] = &[];
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        match field {
            (1, Wire::Bytes(bytes)) => meta = type_meta(bytes)?,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            (3 | 4, Wire::Bytes(b"" | b"application/vnd.kubernetes.protobuf")) => {}
            (3 | 4, Wire::Bytes(other)) => {
                return Err(DecodeError::Content(String::from_utf8_lossy(other).into_owned()));
            }
            _ => {}
        }
    }
    let Some(ty) = definition_of(&meta.api_version, &meta.kind) else {
        return Err(DecodeError::UnknownKind { api_version: meta.api_version, kind: meta.kind });
    };
    let mut value = bare(&ty, raw, depth)?;
    if let Value::Object(map) = &mut value {
        map.insert("apiVersion".into(), Value::String(meta.api_version.clone()));
        map.insert("kind".into(), Value::String(meta.kind.clone()));
    }
    Ok((meta, value))
}

/// Decodes one bare message of `ty`.
///
/// # Errors
///
/// [`DecodeError`] about the wire format.
pub fn decode_message(ty: &Type, bytes: &[u8]) -> Result<Value, DecodeError> {
    bare(ty, bytes, 0)
}

fn bare(ty: &Type, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
    let decoder = Decoder { table: &ty.table };
    let mut map = Map::new();
    decoder.message(ty.def, bytes, &mut map, depth)?;
    let mut value = Value::Object(map);
    canonical::object(&ty.table, ty.def, &mut value);
    Ok(value)
}

fn type_meta(bytes: &[u8]) -> Result<TypeMeta, DecodeError> {
    let mut meta = TypeMeta::default();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if let Wire::Bytes(bytes) = wire {
            match number {
                1 => meta.api_version = String::from_utf8_lossy(bytes).into_owned(),
                2 => meta.kind = String::from_utf8_lossy(bytes).into_owned(),
                _ => {}
            }
        }
    }
    Ok(meta)
}

struct Decoder<'a> {
    table: &'a Table,
}

impl Decoder<'_> {
    /// Decodes the fields of a message into `map`, those of inline messages too.
    fn message(&self, def: usize, bytes: &[u8], map: &mut Map<String, Value>, depth: usize) -> Result<(), DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError::Depth);
        }
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            let Some(field) = self.table.def(def).fields.iter().find(|field| field.number == number) else { continue };
            let wrong = || DecodeError::WireType(field.name.to_string());
            match (&field.shape, wire) {
                (Shape::Object(inner), Wire::Bytes(bytes)) if field.inline => {
                    self.message(*inner, bytes, map, depth + 1)?
                }
                (Shape::List(inner), wire) => {
                    let list = map.entry(field.name.as_ref()).or_insert_with(|| Value::Array(Vec::new()));
                    let Value::Array(items) = list else { return Err(wrong()) };
                    match (&**inner, wire) {
                        // Packed numbers, which gogo's decoders accept too.
                        (Shape::Int32 | Shape::Int64 | Shape::Bool, Wire::Bytes(packed)) => {
                            let mut packed = Reader::new(packed);
                            while !packed.is_empty() {
                                let item =
                                    self.value(inner, Wire::Varint(packed.varint()?), depth)?.ok_or_else(wrong)?;
                                items.push(item);
                            }
                        }
                        _ => items.push(self.value(inner, wire, depth)?.ok_or_else(wrong)?),
                    }
                }
                (Shape::Map(inner), Wire::Bytes(entry)) => {
                    let (key, value) = self.entry(inner, entry, depth)?;
                    if let Value::Object(members) =
                        map.entry(field.name.as_ref()).or_insert_with(|| Value::Object(Map::new()))
                    {
                        members.insert(key, value);
                    }
                }
                (shape, wire) => {
                    let value = self.value(shape, wire, depth)?.ok_or_else(wrong)?;
                    map.insert(field.name.to_string(), value);
                }
            }
        }
        Ok(())
    }

    fn entry(&self, shape: &Shape, bytes: &[u8], depth: usize) -> Result<(String, Value), DecodeError> {
        let (mut key, mut value) = (String::new(), None);
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.next()? {
            match field {
                (1, Wire::Bytes(bytes)) => key = String::from_utf8_lossy(bytes).into_owned(),
                (2, wire) => value = self.value(shape, wire, depth)?,
                _ => {}
            }
        }
        Ok((key, value.unwrap_or_else(|| empty(shape))))
    }

    /// Decodes one value; none if the wire type does not fit.
    fn value(&self, shape: &Shape, wire: Wire<'_>, depth: usize) -> Result<Option<Value>, DecodeError> {
        Ok(Some(match (shape, wire) {
            (Shape::String, Wire::Bytes(bytes)) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
            (Shape::Bytes, Wire::Bytes(bytes)) => Value::String(STANDARD.encode(bytes)),
            (Shape::Bool, Wire::Varint(n)) => Value::Bool(n != 0),
            // Negative 32-bit numbers are sign-extended to 64 bits on the wire.
            (Shape::Int32, Wire::Varint(n)) => Value::from(n as i32),
            (Shape::Int64, Wire::Varint(n)) => Value::from(n as i64),
            (Shape::Double, Wire::Fixed64(bits)) => {
                Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number)
            }
            (Shape::Double, Wire::Fixed32(bits)) => {
                Number::from_f64(f64::from(f32::from_bits(bits))).map_or(Value::Null, Value::Number)
            }
            (Shape::Quantity, Wire::Bytes(bytes)) => {
                let text = fields(bytes)?
                    .bytes(1)
                    .map_or_else(|| "0".into(), |text| String::from_utf8_lossy(text).into_owned());
                Value::String(text)
            }
            (Shape::IntOrString, Wire::Bytes(bytes)) => {
                let fields = fields(bytes)?;
                match fields.varint(1) {
                    1 => Value::String(String::from_utf8_lossy(fields.bytes(3).unwrap_or_default()).into_owned()),
                    _ => Value::from(fields.varint(2) as i32),
                }
            }
            (Shape::Time | Shape::MicroTime, Wire::Bytes(bytes)) => time(shape, bytes)?,
            (Shape::Duration, Wire::Bytes(bytes)) => Value::String(go_duration(fields(bytes)?.varint(1) as i64)),
            (Shape::FieldsV1 | Shape::Any | Shape::RawExtension, Wire::Bytes(bytes)) => {
                self.raw(fields(bytes)?.bytes(1).unwrap_or_default(), depth)?
            }
            (Shape::Wrapped(inner), Wire::Bytes(bytes)) => {
                let mut items = Vec::new();
                let mut reader = Reader::new(bytes);
                while let Some((number, wire)) = reader.next()? {
                    if let (1, Some(item)) = (number, self.value(inner, wire, depth)?) {
                        items.push(item);
                    }
                }
                Value::Array(items)
            }
            (Shape::Object(def), Wire::Bytes(bytes)) => {
                let mut map = Map::new();
                self.message(*def, bytes, &mut map, depth + 1)?;
                Value::Object(map)
            }
            (Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings, Wire::Bytes(bytes)) => {
                self.schema_or(shape, bytes, depth)?
            }
            _ => return Ok(None),
        }))
    }

    /// Raw JSON, or an envelope of its own where a client embedded an object as protobuf.
    fn raw(&self, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        if bytes.starts_with(&MAGIC) {
            return Ok(envelope(bytes, depth + ENVELOPE_DEPTH)?.1);
        }
        crate::parse_json(bytes).map(|parsed| parsed.value).map_err(|err| DecodeError::Json(err.to_string()))
    }

    /// The three unions of `apiextensions/v1`: a schema, or something else.
    fn schema_or(&self, shape: &Shape, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
        let schema = definition_named(super::encode::SCHEMA_PROPS);
        let decode = |bytes: &[u8]| -> Result<Value, DecodeError> {
            let mut map = Map::new();
            if let Some(ty) = &schema {
                self.message(ty.def, bytes, &mut map, depth + 1)?;
            }
            let mut value = Value::Object(map);
            if let Some(ty) = &schema {
                canonical::canonical(ty, &mut value);
            }
            Ok(value)
        };
        let (mut one, mut list, mut allows) = (None, Vec::new(), false);
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.next()? {
            match (shape, field) {
                (Shape::SchemaOrBool, (1, Wire::Varint(n))) => allows = n != 0,
                (Shape::SchemaOrBool, (2, Wire::Bytes(bytes))) => one = Some(decode(bytes)?),
                (_, (1, Wire::Bytes(bytes))) => one = Some(decode(bytes)?),
                (Shape::SchemaOrArray, (2, Wire::Bytes(bytes))) => list.push(decode(bytes)?),
                (Shape::SchemaOrStrings, (2, Wire::Bytes(bytes))) => {
                    list.push(Value::String(String::from_utf8_lossy(bytes).into_owned()))
                }
                _ => {}
            }
        }
        Ok(match (one, shape) {
            (Some(schema), _) => schema,
            (None, Shape::SchemaOrBool) => Value::Bool(allows),
            (None, _) => Value::Array(list),
        })
    }
}

/// The value of a map entry that carries none.
fn empty(shape: &Shape) -> Value {
    match shape {
        Shape::Wrapped(_) | Shape::List(_) => Value::Array(Vec::new()),
        Shape::Object(_) | Shape::Map(_) => Value::Object(Map::new()),
        Shape::Quantity => Value::String("0".into()),
        _ => Value::String(String::new()),
    }
}

/// The few fields of a small message, by number.
struct Fields<'a>(Vec<(u32, Wire<'a>)>);

fn fields(bytes: &[u8]) -> Result<Fields<'_>, DecodeError> {
    let mut out = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.next()? {
        out.push(field);
    }
    Ok(Fields(out))
}

impl<'a> Fields<'a> {
    fn varint(&self, number: u32) -> u64 {
        self.0
            .iter()
            .rev()
            .find_map(|field| match *field {
                (at, Wire::Varint(n)) if at == number => Some(n),
                _ => None,
            })
            .unwrap_or(0)
    }

    fn bytes(&self, number: u32) -> Option<&'a [u8]> {
        self.0.iter().rev().find_map(|field| match *field {
            (at, Wire::Bytes(bytes)) if at == number => Some(bytes),
            _ => None,
        })
    }
}

/// An empty message is Go's zero time, which JSON shows as null.
/// k8s 1.37 apimachinery pkg/apis/meta/v1/time_proto.go: nanoseconds are dropped from `Time`, kept to microseconds in `MicroTime`.
fn time(shape: &Shape, bytes: &[u8]) -> Result<Value, DecodeError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let fields = fields(bytes)?;
    let nanos = if *shape == Shape::MicroTime { fields.varint(2) as i32 / 1000 * 1000 } else { 0 };
    let Ok(at) = Timestamp::new(fields.varint(1) as i64, nanos) else { return Ok(Value::Null) };
    Ok(Value::String(if *shape == Shape::MicroTime { format!("{at:.6}") } else { format!("{at:.0}") }))
}

/// Go's `time.Duration.String`.
fn go_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let fraction = |unit: u64, name: &str| {
        let text = format!("{}.{:0width$}", nanos / unit, nanos % unit, width = unit.ilog10() as usize);
        format!("{sign}{}{name}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => fraction(1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(1_000_000, "ms"),
        _ => {
            let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
            let text = format!("{}.{rest:09}", seconds % 60);
            let text = text.trim_end_matches('0').trim_end_matches('.');
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => format!("{sign}{text}s"),
                (0, minutes) => format!("{sign}{minutes}m{text}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{text}s"),
            }
        }
    }
}
