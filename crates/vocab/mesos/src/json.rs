//! How Mesos writes protobuf as JSON, where serde's own way differs.
//!
//! The types here are named in `#[serde(with = …)]` of the messages. Mesos 1.11, 3rdparty/stout/include/stout/protobuf.hpp:
//! enums are their names, and a name it does not know leaves the field unset; bytes are standard base64;
//! a double may be given as a number or as the string `"Infinity"` or `"-Infinity"`.
//! (Mesos itself *prints* infinity as a bare word, which is no JSON: we print the string, which it reads.)

use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

/// The number that stands for an enum name this crate does not know, where Mesos requires a value.
/// No Mesos enum uses it, so `try_from` fails on it as on any other unknown number.
pub const UNKNOWN_ENUM: i32 = -1;

/// An enum of the protocol, with the names used in JSON.
pub trait WireEnum: Sized + Copy {
    /// Returns the name as Mesos spells it.
    fn name_of(number: i32) -> Option<&'static str>;
    /// Returns the number of a name; `None` for a name that is not known here.
    fn number_of(name: &str) -> Option<i32>;
}

/// Declares an enum of the protocol once: its number on the wire and its name in JSON.
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident = $number:literal => $wire:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
        #[repr(i32)]
        pub enum $name { $($variant = $number,)* }

        impl $name {
            /// Returns the name as Mesos spells it in JSON and in its logs.
            pub const fn wire_name(self) -> &'static str {
                match self { $(Self::$variant => $wire,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.wire_name())
            }
        }

        impl crate::json::WireEnum for $name {
            fn name_of(number: i32) -> Option<&'static str> {
                match number { $($number => Some($wire),)* _ => None }
            }

            fn number_of(name: &str) -> Option<i32> {
                match name { $($wire => Some($number),)* _ => None }
            }
        }
    };
}
pub(crate) use wire_enum;

fn write_enum<E: WireEnum, S: Serializer>(number: i32, to: S) -> Result<S::Ok, S::Error> {
    match E::name_of(number) {
        Some(name) => to.serialize_str(name),
        None => to.serialize_i32(number),
    }
}

/// An enum as it may come: by name, or by number.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum NameOrNumber<'a> {
    Name(#[serde(borrow)] std::borrow::Cow<'a, str>),
    Number(i32),
}

impl NameOrNumber<'_> {
    fn number<E: WireEnum>(&self) -> Option<i32> {
        match self {
            NameOrNumber::Name(name) => E::number_of(name),
            NameOrNumber::Number(number) => Some(*number),
        }
    }
}

/// `required` enum fields; an unknown name becomes [`UNKNOWN_ENUM`].
pub struct RequiredEnum<E>(PhantomData<E>);

impl<E: WireEnum> RequiredEnum<E> {
    /// For `serde(with)`.
    pub fn serialize<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
        write_enum::<E, S>(*number, to)
    }

    /// For `serde(with)`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
        Ok(NameOrNumber::deserialize(from)?.number::<E>().unwrap_or(UNKNOWN_ENUM))
    }
}

/// `optional` enum fields; an unknown name leaves the field unset, as in Mesos.
pub struct OptionalEnum<E>(PhantomData<E>);

impl<E: WireEnum> OptionalEnum<E> {
    /// For `serde(with)`.
    pub fn serialize<S: Serializer>(number: &Option<i32>, to: S) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => write_enum::<E, S>(*number, to),
            None => to.serialize_none(),
        }
    }

    /// For `serde(with)`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
        Ok(Option::<NameOrNumber<'de>>::deserialize(from)?.and_then(|found| found.number::<E>()))
    }
}

fn decode_base64<E: serde::de::Error>(text: &str) -> Result<Bytes, E> {
    STANDARD.decode(text).map(Bytes::from).map_err(|error| E::custom(format!("bytes are not base64: {error}")))
}

/// `required bytes` fields.
pub struct RequiredBytes;

impl RequiredBytes {
    /// For `serde(with)`.
    pub fn serialize<S: Serializer>(value: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(value))
    }

    /// For `serde(with)`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        decode_base64(&std::borrow::Cow::<'de, str>::deserialize(from)?)
    }
}

/// `optional bytes` fields.
pub struct OptionalBytes;

impl OptionalBytes {
    /// For `serde(with)`.
    pub fn serialize<S: Serializer>(value: &Option<Bytes>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(to)
    }

    /// For `serde(with)`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Bytes>, D::Error> {
        match Option::<std::borrow::Cow<'de, str>>::deserialize(from)? {
            Some(text) => decode_base64(&text).map(Some),
            None => Ok(None),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum DoubleOrText<'a> {
    Double(f64),
    Text(#[serde(borrow)] std::borrow::Cow<'a, str>),
}

impl DoubleOrText<'_> {
    fn value<E: serde::de::Error>(&self) -> Result<f64, E> {
        match self {
            DoubleOrText::Double(value) => Ok(*value),
            DoubleOrText::Text(text) => match text.as_ref() {
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                other => other.parse().map_err(|_| E::custom(format!("not a number: '{other}'"))),
            },
        }
    }
}

fn write_double<S: Serializer>(value: f64, to: S) -> Result<S::Ok, S::Error> {
    if value == f64::INFINITY {
        to.serialize_str("Infinity")
    } else if value == f64::NEG_INFINITY {
        to.serialize_str("-Infinity")
    } else if value.is_nan() {
        Err(S::Error::custom("not a number"))
    } else {
        to.serialize_f64(value)
    }
}

/// `required double` fields.
pub struct RequiredDouble;

impl RequiredDouble {
    /// For `serde(with)`.
    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        write_double(*value, to)
    }

    /// For `serde(with)`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        DoubleOrText::deserialize(from)?.value().map_err(|error: D::Error| D::Error::custom(error))
    }
}

/// `optional double` fields.
pub struct OptionalDouble;

impl OptionalDouble {
    /// For `serde(with)`.
    pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => write_double(*value, to),
            None => to.serialize_none(),
        }
    }

    /// For `serde(with)`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        match Option::<DoubleOrText<'de>>::deserialize(from)? {
            Some(found) => found.value().map(Some),
            None => Ok(None),
        }
    }
}
