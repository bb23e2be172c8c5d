//! Request bodies into values, with what a strict client wants to know: duplicate fields, and syntax errors in the
//! words of Go's decoder.
//!
//! A parser of our own because `serde_json` keeps the last of duplicate keys silently and words its errors its own
//! way; numbers and strings are left to it. Which kind the value is of, is the caller's business.

use std::str;

use serde_json::{Map, Number, Value};

/// A parsed body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The value; of duplicate fields the last.
    pub value: Value,
    /// Paths of duplicate fields (`spec.bar`), each once, at most 100.
    pub duplicates: Vec<String>,
}

/// A body that is not JSON or YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Go's text, e.g. `invalid character '}' looking for beginning of value`.
    #[error("{0}")]
    Json(String),
    /// Upstream's prefix and our YAML reader's reason.
    #[error("error converting YAML to JSON: yaml: {0}")]
    Yaml(String),
}

/// Bound on nesting, far above any real object and far below what exhausts a thread's stack.
const DEPTH_MAX: usize = 128;
/// As many reports as upstream's decoder keeps.
const REPORTS_MAX: usize = 100;

/// Parses JSON.
///
/// # Errors
///
/// [`ParseError::Json`] on a syntax error, invalid UTF-8 or more than 128 levels of nesting.
pub fn parse_json(bytes: &[u8]) -> Result<Parsed, ParseError> {
    let mut parser = Parser { bytes, at: 0, path: String::new(), duplicates: Vec::new() };
    let value = parser.value(0)?;
    parser.space();
    match parser.peek() {
        None => Ok(Parsed { value, duplicates: parser.duplicates }),
        Some(_) => Err(parser.invalid("after top-level value")),
    }
}

/// Parses YAML (or JSON, which is YAML).
///
/// Duplicate keys are an error here, as they are upstream.
///
/// # Errors
///
/// [`ParseError::Yaml`].
pub fn parse_yaml(bytes: &[u8]) -> Result<Parsed, ParseError> {
    let text = str::from_utf8(bytes).map_err(|_| ParseError::Yaml("invalid UTF-8".into()))?;
    let value = serde_saphyr::from_str(text).map_err(|err| ParseError::Yaml(err.to_string()))?;
    Ok(Parsed { value, duplicates: Vec::new() })
}

/// Returns the report of an unknown field, which is also the text of its warning.
#[must_use]
pub fn unknown_field_text(path: &str) -> String {
    format!("unknown field {path:?}")
}

/// Returns the report of a duplicate field, which is also the text of its warning.
#[must_use]
pub fn duplicate_field_text(path: &str) -> String {
    format!("duplicate field {path:?}")
}

/// Returns the error of a strict request: `strict decoding error: unknown field "spec.foo", duplicate field "spec.bar"`.
#[must_use]
pub fn strict_error_text(unknown: &[String], duplicates: &[String]) -> String {
    let reports: Vec<String> = unknown
        .iter()
        .map(|path| unknown_field_text(path))
        .chain(duplicates.iter().map(|path| duplicate_field_text(path)))
        .collect();
    format!("strict decoding error: {}", reports.join(", "))
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    path: String,
    duplicates: Vec<String>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The error for the byte at hand; `context` in Go's words.
    fn invalid(&self, context: &str) -> ParseError {
        let Some(byte) = self.peek() else {
            return ParseError::Json("unexpected end of JSON input".into());
        };
        let shown = match byte {
            b'\'' => r"'\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            b'\\' => r"'\\'".to_owned(),
            b'\n' => r"'\n'".to_owned(),
            b'\t' => r"'\t'".to_owned(),
            b'\r' => r"'\r'".to_owned(),
            0x00..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
            _ => format!("'{}'", char::from(byte)),
        };
        ParseError::Json(format!("invalid character {shown} {context}"))
    }

    fn value(&mut self, depth: usize) -> Result<Value, ParseError> {
        if depth > DEPTH_MAX {
            return Err(ParseError::Json("exceeded max depth".into()));
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            _ => Err(self.invalid("looking for beginning of value")),
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, ParseError> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                return Err(self.invalid(&format!("in literal {word} (expecting '{}')", char::from(expected))));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.at += 1;
        let mut map = Map::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.invalid("looking for beginning of object key string"));
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.invalid("after object key"));
            }
            self.at += 1;
            let len = self.path.len();
            if len > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            let value = self.value(depth + 1)?;
            if map.insert(key, value).is_some()
                && self.duplicates.len() < REPORTS_MAX
                && !self.duplicates.contains(&self.path)
            {
                self.duplicates.push(self.path.clone());
            }
            self.path.truncate(len);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.invalid("after object key:value pair")),
            }
        }
        self.at += 1;
        Ok(Value::Object(map))
    }

    fn array(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            let len = self.path.len();
            self.path.push_str(&format!("[{}]", items.len()));
            items.push(self.value(depth + 1)?);
            self.path.truncate(len);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.invalid("after array element")),
            }
        }
        self.at += 1;
        Ok(Value::Array(items))
    }

    /// Finds the end of a string, and has `serde_json` decode its escapes. Like Go, invalid UTF-8 and lone surrogates
    /// become U+FFFD.
    fn string(&mut self) -> Result<String, ParseError> {
        let start = self.at;
        self.at += 1;
        let mut plain = true;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    self.at += 1;
                    match self.peek() {
                        Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => self.at += 1,
                        Some(b'u') => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                                    return Err(self.invalid("in \\u hexadecimal character escape"));
                                }
                                self.at += 1;
                            }
                        }
                        _ => return Err(self.invalid("in string escape code")),
                    }
                }
                Some(0x00..0x20) | None => return Err(self.invalid("in string literal")),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let inner = String::from_utf8_lossy(&self.bytes[start + 1..self.at - 1]);
        if plain {
            return Ok(inner.into_owned());
        }
        Ok(serde_json::from_str(&format!("\"{inner}\"")).unwrap_or_else(|_| unescape_lossy(&inner)))
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.invalid("in numeric literal")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits_after("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits_after("in exponent of numeric literal")?;
        }
        let text = String::from_utf8_lossy(&self.bytes[start..self.at]);
        // Too large for a double is the one thing left that can fail.
        let number: Number = serde_json::from_str(&text).map_err(|_| {
            ParseError::Json(format!("json: cannot unmarshal number {text} into Go value of type float64"))
        })?;
        Ok(Value::Number(number))
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn digits_after(&mut self, context: &str) -> Result<(), ParseError> {
        if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
            return Err(self.invalid(context));
        }
        self.digits();
        Ok(())
    }
}

/// Decodes a string that `serde_json` refuses, which only lone surrogates make it do.
fn unescape_lossy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let len = if rest.as_bytes().get(1) == Some(&b'u') { 6 } else { 2 };
        // A pair of surrogates is one escape of twelve bytes.
        let decoded = [12, len].into_iter().find_map(|len| {
            let escape = rest
                .get(..len)
                .filter(|escape| len != 12 || escape.get(6..).is_some_and(|next| next.starts_with("\\u")))?;
            serde_json::from_str::<String>(&format!("\"{escape}\"")).ok().map(|text| (text, len))
        });
        let (text, len) = decoded.unwrap_or(("\u{fffd}".to_owned(), len));
        out.push_str(&text);
        rest = &rest[len..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ParseError, parse_json, parse_yaml, strict_error_text};

    #[test]
    fn values_are_what_serde_json_reads() {
        for text in [
            r#"{"a":[1,-2.5e3,"x\né\u00e9\ud83d\ude00",true,false,null,{}],"b":{"c":[]}}"#,
            " 1 ",
            r#""""#,
            "[]",
            "18446744073709551615",
        ] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse_json(text.as_bytes()).unwrap().value, value, "{text}");
        }
        assert_eq!(parse_json(br#""a\ud800b""#).unwrap().value, json!("a\u{fffd}b"));
        let text = "\"\\nabc\u{e9}\u{e9}\u{e9}\u{e9}\\ud83d\\ude00\\udc00\"";
        assert_eq!(parse_json(text.as_bytes()).unwrap().value, json!("\nabc\u{e9}\u{e9}\u{e9}\u{e9}\u{1f600}\u{fffd}"));
    }

    #[test]
    fn duplicate_fields_are_named_by_path_once() {
        let parsed = parse_json(br#"{"spec":{"a":1,"a":2,"a":3,"l":[{"b":1},{"b":1,"b":2}]},"spec":{"a":4}}"#).unwrap();
        assert_eq!(parsed.duplicates, ["spec.a", "spec.l[1].b", "spec"]);
        assert_eq!(parsed.value, json!({"spec": {"a": 4}}));
    }

    #[test]
    fn syntax_errors_are_worded_as_go_words_them() {
        for (text, message) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            ("{]", "invalid character ']' looking for beginning of object key string"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":}"#, "invalid character '}' looking for beginning of value"),
            (r#"{"a":1 "b"}"#, "invalid character '\"' after object key:value pair"),
            (r#"[1 2]"#, "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("trux", "invalid character 'x' in literal true (expecting 'e')"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            (r#""\x""#, "invalid character 'x' in string escape code"),
            (r#""\u12x""#, "invalid character 'x' in \\u hexadecimal character escape"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.a", "invalid character 'a' after decimal point in numeric literal"),
            ("1ea", "invalid character 'a' in exponent of numeric literal"),
        ] {
            assert_eq!(parse_json(text.as_bytes()), Err(ParseError::Json(message.into())), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse_json(deep.as_bytes()), Err(ParseError::Json("exceeded max depth".into())));
    }

    #[test]
    fn strict_errors_list_unknown_and_duplicate_fields() {
        assert_eq!(
            strict_error_text(&["spec.foo".into()], &["spec.bar".into()]),
            r#"strict decoding error: unknown field "spec.foo", duplicate field "spec.bar""#
        );
    }

    #[test]
    fn yaml_is_read_and_its_errors_are_marked() {
        assert_eq!(parse_yaml(b"a: [1, x]\nb: {c: true}").unwrap().value, json!({"a": [1, "x"], "b": {"c": true}}));
        assert!(parse_yaml(b"a: 1\na: 2").is_err(), "duplicate keys");
        assert!(parse_yaml(b"a: [").unwrap_err().to_string().starts_with("error converting YAML to JSON: yaml: "));
    }
}
