//! Request bodies into pruned, checked values: the one place where the write path meets `vocab/schema`.

use km_api::{Body, Cause, ContentType, Details, Options, Propagation, Resource, Status};
use km_schema::{Type, patch, proto};
use serde_json::{Value, json};

use crate::value::{int, set, text};

/// A decoded body and the warnings about its fields.
pub(crate) struct Decoded {
    pub(crate) value: Value,
    pub(crate) warnings: Vec<String>,
}

/// Decodes an object that is expected to be of `resource`'s kind.
pub(crate) fn object(resource: &Resource, body: &Body, options: &Options) -> Result<Decoded, Status> {
    kind(&resource.api_version(), resource.kind, body, options)
}

/// Decodes an object of a kind that may have no resource of its own (`Scale`, `Eviction`, `TokenRequest`).
pub(crate) fn kind(api_version: &str, kind: &str, body: &Body, options: &Options) -> Result<Decoded, Status> {
    let (mut value, duplicates) = parse(kind, body)?;
    if !value.is_object() {
        let why = format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} {INTERPRETED}",
            word(&value)
        );
        return Err(unrecognized(kind, &why, body));
    }
    // k8s 1.37 apimachinery/pkg/runtime/serializer/json, gvkWithDefaults: the path says what the body leaves out.
    let or = |own: &str, usual: &str| if own.is_empty() { usual.to_owned() } else { own.to_owned() };
    let own_version = or(text(&value, "apiVersion"), api_version);
    let own_kind = or(text(&value, "kind"), kind);
    if own_version != api_version {
        return Err(Status::bad_request(format!(
            "the API version in the data ({own_version}) does not match the expected API version ({api_version})"
        )));
    }
    let version = own_version.rsplit('/').next().unwrap_or_default().to_owned();
    let refuse = |why: &str| {
        Status::bad_request(format!("{own_kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    };
    if own_kind != kind {
        return Err(refuse(&format!("the object is of kind {own_kind}")));
    }
    let ty = schema(api_version, kind)?;
    let warnings = tidy(&ty, &mut value, &duplicates, options).map_err(|why| refuse(&why))?;
    set(&mut value, "apiVersion", api_version);
    set(&mut value, "kind", kind);
    Ok(Decoded { value, warnings })
}

/// Applies the patch in `body` to `old`.
pub(crate) fn patched(resource: &Resource, old: &Value, body: &Body, options: &Options) -> Result<Decoded, Status> {
    let ty = schema(&resource.api_version(), resource.kind)?;
    patched_kind(&ty, old, body, options)
}

/// Applies the patch in `body` to an object of a kind that has no resource of its own.
pub(crate) fn patched_kind(ty: &Type, old: &Value, body: &Body, options: &Options) -> Result<Decoded, Status> {
    let malformed = |err: String| Status::bad_request(format!("error decoding patch: {err}"));
    let parsed = km_schema::parse_json(&body.bytes).map_err(|err| malformed(err.to_string()))?;
    let mut value = old.clone();
    let result = match body.content_type {
        ContentType::JsonPatch => patch::json_patch(&mut value, &parsed.value),
        ContentType::MergePatch => patch::merge_patch(&mut value, &parsed.value),
        ContentType::StrategicMergePatch => patch::strategic_merge_patch(ty, &mut value, &parsed.value),
        other => {
            return Err(Status::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json \
                 (got {})",
                other.as_str()
            )));
        }
    };
    result.map_err(|err| match err {
        patch::PatchError::TooManyOperations(_) => Status::too_large(err.to_string()),
        patch::PatchError::DoesNotApply(_) | patch::PatchError::TooMuchCopied(_) => Status::failure(
            422,
            km_api::Reason::Invalid,
            format!("the server rejected our request due to an error in our request: {err}"),
        ),
        _ => Status::bad_request(err.to_string()),
    })?;
    let warnings = tidy(ty, &mut value, &parsed.duplicates, options).map_err(|why| {
        let cause = Cause {
            reason: "FieldValueInvalid".into(),
            message: format!("Invalid value: {}: {why}", shown(&body.bytes)),
            field: "patch".into(),
        };
        // kubectl shows the causes, and the message only where there are none.
        Status {
            details: Some(Details { causes: vec![cause.clone()], ..Details::default() }),
            ..Status::failure(422, km_api::Reason::Invalid, format!(" \"\" is invalid: patch: {}", cause.message))
        }
    })?;
    Ok(Decoded { value, warnings })
}

/// Fills in the defaults of `resource`'s kind and brings the value into the form that Go prints.
pub(crate) fn default(resource: &Resource, value: &mut Value) -> Result<(), Status> {
    let ty = schema(&resource.api_version(), resource.kind)?;
    km_schema::default(&ty, value);
    km_schema::canonical(&ty, value);
    Ok(())
}

/// Returns the options of a deletion: the query's, overridden by the `DeleteOptions` in the body.
pub(crate) fn delete_options(body: &Body, query: &Options) -> Result<Options, Status> {
    let mut options = query.clone();
    if body.bytes.is_empty() {
        return Ok(options);
    }
    let (value, _) = parse("DeleteOptions", body)?;
    if let Some(seconds) = int(&value, "gracePeriodSeconds") {
        options.grace_period_seconds = Some(seconds);
    }
    options.propagation = match text(&value, "propagationPolicy") {
        "Orphan" => Some(Propagation::Orphan),
        "Background" => Some(Propagation::Background),
        "Foreground" => Some(Propagation::Foreground),
        "" => match value.get("orphanDependents").and_then(Value::as_bool) {
            Some(true) => Some(Propagation::Orphan),
            Some(false) => Some(Propagation::Background),
            None => options.propagation,
        },
        other => {
            let mut errors = crate::field::Errors::default();
            errors.not_supported("propagationPolicy", other, &["Background", "Foreground", "Orphan", "nil"]);
            return errors.into_result(&DELETE_OPTIONS, "").map(|()| options);
        }
    };
    let precondition = |path| Some(text(&value, path).to_owned()).filter(|t| !t.is_empty());
    options.precondition_uid = precondition("preconditions.uid").or(options.precondition_uid);
    options.precondition_resource_version =
        precondition("preconditions.resourceVersion").or(options.precondition_resource_version);
    options.dry_run |= crate::value::texts(&value, "dryRun").contains(&"All");
    Ok(options)
}

/// What Go's decoder says of a body that is no object.
const INTERPRETED: &str = r#"into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

fn word(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Null => "null",
        Value::Object(_) => "object",
    }
}

/// Names `DeleteOptions` in errors; it is no resource.
static DELETE_OPTIONS: Resource = Resource {
    group: "meta.k8s.io",
    version: "v1",
    kind: "DeleteOptions",
    plural: "deleteoptions",
    singular: "deleteoptions",
    short_names: &[],
    categories: &[],
    scope: km_api::Scope::Cluster,
    persistence: km_api::resource::Persistence::CreateOnly,
    subresources: &[],
};

/// Returns the schema of a kind.
pub(crate) fn schema(api_version: &str, kind: &str) -> Result<Type, Status> {
    km_schema::definition_of(api_version, kind)
        .ok_or_else(|| Status::internal(format!("no schema for {kind} in version {api_version:?}")))
}

fn parse(kind: &str, body: &Body) -> Result<(Value, Vec<String>), Status> {
    match body.content_type {
        ContentType::Json => km_schema::parse_json(&body.bytes)
            .map(|parsed| (parsed.value, parsed.duplicates))
            .map_err(|err| unrecognized(kind, &format!("couldn't get version/kind; json parse error: {err}"), body)),
        ContentType::Yaml => km_schema::parse_yaml(&body.bytes)
            .map(|parsed| (parsed.value, parsed.duplicates))
            .map_err(|err| unrecognized(kind, &err.to_string(), body)),
        ContentType::Protobuf => {
            let (meta, mut value) =
                proto::decode(&body.bytes).map_err(|err| unrecognized(kind, &err.to_string(), body))?;
            if !value.is_object() {
                value = json!({});
            }
            set(&mut value, "apiVersion", meta.api_version);
            set(&mut value, "kind", meta.kind);
            Ok((value, Vec::new()))
        }
        other => Err(Status::unsupported_media_type(format!(
            "the body of the request was in an unknown format - accepted media types include: application/json, \
             application/yaml, application/vnd.kubernetes.protobuf (got {})",
            other.as_str()
        ))),
    }
}

/// Drops unknown fields, as `fieldValidation` asks, and refuses values of the wrong type with upstream's text.
fn tidy(ty: &Type, value: &mut Value, duplicates: &[String], options: &Options) -> Result<Vec<String>, String> {
    let unknown = km_schema::prune(ty, value);
    if is_deeper(value, DEPTH_MAX) {
        return Err("exceeded max depth".to_owned());
    }
    if let Some(error) = km_schema::check(ty, value).first() {
        return Err(error.message.clone());
    }
    km_schema::canonical(ty, value);
    if unknown.is_empty() && duplicates.is_empty() {
        return Ok(Vec::new());
    }
    match options.field_validation.as_str() {
        "Strict" => Err(km_schema::strict_error_text(&unknown, duplicates)),
        "Ignore" => Ok(Vec::new()),
        _ => Ok(unknown
            .iter()
            .map(|path| km_schema::unknown_field_text(path))
            .chain(duplicates.iter().map(|path| km_schema::duplicate_field_text(path)))
            .collect()),
    }
}

/// Most levels of nesting in what is stored. serde_json reads 127; bodies may be deeper, in the few fields that hold any
/// JSON, and what is stored must be readable for ever.
const DEPTH_MAX: usize = 100;

fn is_deeper(value: &Value, levels: usize) -> bool {
    let mut inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => return false,
    };
    levels == 0 || inner.any(|value| is_deeper(value, levels - 1))
}

fn unrecognized(kind: &str, why: &str, body: &Body) -> Status {
    // k8s 1.37 apiserver/pkg/endpoints/handlers/rest.go, summarizeData: the first 30 bytes, in hex unless they begin
    // an object of JSON.
    let head = &body.bytes[..body.bytes.len().min(30)];
    let shown = match head.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(head).into_owned(),
        Some(_) => head.iter().map(|b| format!("{b:02x}")).collect(),
    };
    let summary = if body.bytes.len() > head.len() { format!("{shown} ...") } else { shown };
    Status::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why} ({summary})"))
}

fn shown(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]))
}
