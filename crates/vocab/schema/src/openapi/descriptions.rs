//! The published descriptions, compressed in the binary and inflated for one document at a time: most processes never
//! need them, and none keeps them.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::ZlibDecoder;

/// Records separated by 0x01: `D<definition>\0<text>` and, for its fields, `F<name>\0<text>`.
const BYTES: &[u8] = include_bytes!("../../data/descriptions.bin");

/// Descriptions by definition; that of the definition itself under the empty name.
pub(super) struct Descriptions {
    by_definition: BTreeMap<String, BTreeMap<String, String>>,
}

impl Descriptions {
    /// Inflates those of the definitions that `wanted` names.
    pub(super) fn of(wanted: impl Fn(&str) -> bool) -> Self {
        let mut text = String::new();
        ZlibDecoder::new(BYTES)
            .read_to_string(&mut text)
            .expect("the embedded file is what the generator wrote; a test reads it");
        let mut by_definition = BTreeMap::new();
        let mut current: Option<&mut BTreeMap<String, String>> = None;
        for record in text.split('\u{1}') {
            let Some((head, body)) = record.split_once('\0') else { continue };
            let (kind, name) = head.split_at(1);
            if kind == "D" {
                current = wanted(name).then(|| by_definition.entry(name.to_owned()).or_insert_with(BTreeMap::new));
            }
            if let (Some(fields), false) = (&mut current, body.is_empty()) {
                fields.insert(if kind == "D" { String::new() } else { name.to_owned() }, body.to_owned());
            }
        }
        Self { by_definition }
    }

    /// Returns the text of a field, or of the definition itself for an empty name.
    pub(super) fn get(&self, definition: &str, field: &str) -> Option<&str> {
        self.by_definition.get(definition)?.get(field).map(String::as_str)
    }
}
