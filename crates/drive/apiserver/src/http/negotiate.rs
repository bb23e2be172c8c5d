//! Chooses the form of an answer from the `Accept` header.
//!
//! Answers are JSON (or YAML where only that is asked for). A client that accepts protobuf alone gets JSON
//! all the same: client-go decodes by the answer's `Content-Type`.

use km_api::Status;

/// The encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
}

/// Into what an answer is transformed before it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The object or list itself.
    Plain,
    /// `meta.k8s.io/v1` Table.
    Table,
    /// Metadata alone.
    PartialMetadata,
}

/// A chosen form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Encoding.
    pub(crate) encoding: Encoding,
    /// Shape.
    pub(crate) shape: Shape,
}

impl Form {
    /// The form of a client that states no preference.
    pub(crate) const DEFAULT: Self = Self { encoding: Encoding::Json, shape: Shape::Plain };
}

/// One media range of an `Accept` header.
pub(crate) struct MediaRange<'a> {
    /// E.g. `application/json`.
    pub(crate) media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> MediaRange<'a> {
    /// Returns a parameter's value, or empty.
    pub(crate) fn parameter(&self, name: &str) -> &'a str {
        self.parameters.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
    }
}

/// Splits an `Accept` header.
pub(crate) fn media_ranges(accept: &str) -> impl Iterator<Item = MediaRange<'_>> {
    accept.split(',').map(str::trim).filter(|range| !range.is_empty()).map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let parameters =
            parts.filter_map(|p| p.split_once('=')).map(|(n, v)| (n.trim(), v.trim_matches('"'))).collect();
        MediaRange { media_type, parameters }
    })
}

/// Chooses the first form that both sides know.
///
/// # Errors
/// 406 when there is none.
pub(crate) fn choose(accept: &str) -> Result<Form, Status> {
    if accept.trim().is_empty() {
        return Ok(Form::DEFAULT);
    }
    let mut only_protobuf = false;
    for range in media_ranges(accept) {
        let encoding = match range.media_type {
            "application/json" | "*/*" | "application/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            "application/vnd.kubernetes.protobuf" => {
                only_protobuf |= range.parameter("as").is_empty();
                continue;
            }
            _ => continue,
        };
        let known = range.parameter("g") == "meta.k8s.io" && matches!(range.parameter("v"), "v1" | "v1beta1");
        let shape = match range.parameter("as") {
            "" => Shape::Plain,
            "Table" if known => Shape::Table,
            "PartialObjectMetadata" | "PartialObjectMetadataList" if known => Shape::PartialMetadata,
            _ => continue,
        };
        return Ok(Form { encoding, shape });
    }
    if only_protobuf {
        return Ok(Form::DEFAULT);
    }
    Err(Status::failure(
        406,
        km_api::Reason::NotAcceptable,
        "only the following media types are accepted: application/json, application/yaml",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_known_form_wins() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        for (accept, want) in [
            ("", Some((Encoding::Json, Shape::Plain))),
            ("*/*", Some((Encoding::Json, Shape::Plain))),
            (table, Some((Encoding::Json, Shape::Table))),
            ("application/vnd.kubernetes.protobuf,application/json", Some((Encoding::Json, Shape::Plain))),
            ("application/vnd.kubernetes.protobuf", Some((Encoding::Json, Shape::Plain))),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
                Some((Encoding::Json, Shape::PartialMetadata)),
            ),
            ("application/yaml", Some((Encoding::Yaml, Shape::Plain))),
            ("application/json;as=Something;v=v1;g=meta.k8s.io", None),
            ("text/html", None),
        ] {
            assert_eq!(choose(accept).ok().map(|f| (f.encoding, f.shape)), want, "{accept}");
        }
    }
}
