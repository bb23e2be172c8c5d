//! Reads a request's query string into [`Options`].
//!
//! Unknown parameters are ignored, as upstream does. What is known but malformed is a 400 in the words of
//! upstream's decoder of `ListOptions`.

use km_api::{Options, Propagation, Reason, Status};

use super::path::decode_query;

/// The parameters that are not options of the API's verbs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// Options of the request.
    pub(crate) options: Options,
    /// `watch=true`.
    pub(crate) watch: bool,
    /// `pretty=true`.
    pub(crate) pretty: bool,
    /// `includeObject` of a Table, or empty.
    pub(crate) include_object: String,
}

/// Reads `query`, the text after the question mark.
///
/// # Errors
/// 400 when a known parameter has an impossible value.
pub(crate) fn parse(query: &str) -> Result<Query, Status> {
    let mut parsed = Query::default();
    for (name, value) in pairs(query) {
        set(&mut parsed, &name, value)?;
    }
    Ok(parsed)
}

/// Returns the parameters in order, decoded.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_query(name), decode_query(value))
    })
}

fn set(query: &mut Query, name: &str, value: String) -> Result<(), Status> {
    let options = &mut query.options;
    match name {
        "labelSelector" => options.label_selector = value,
        "fieldSelector" => options.field_selector = value,
        "resourceVersion" => options.resource_version = value,
        "resourceVersionMatch" => options.resource_version_match = value,
        "continue" => options.continue_token = value,
        "limit" => options.limit = u64::try_from(number(&value)?.max(0)).unwrap_or(0),
        "timeoutSeconds" if !value.is_empty() => {
            options.timeout_seconds = Some(u64::try_from(number(&value)?.max(0)).unwrap_or(0));
        }
        "allowWatchBookmarks" => options.allow_watch_bookmarks = boolean(&value),
        "sendInitialEvents" => options.send_initial_events = Some(boolean(&value)),
        "dryRun" => {
            one_of("dryRun", &value, &["All"])?;
            options.dry_run = value == "All";
        }
        "fieldValidation" => {
            one_of("fieldValidation", &value, &["Ignore", "Strict", "Warn"])?;
            options.field_validation = value;
        }
        "fieldManager" => options.field_manager = value,
        "force" => options.force = boolean(&value),
        "gracePeriodSeconds" if !value.is_empty() => options.grace_period_seconds = Some(number(&value)?),
        "propagationPolicy" if !value.is_empty() => options.propagation = Some(propagation(&value)?),
        "watch" => query.watch = boolean(&value),
        "pretty" => query.pretty = boolean(&value),
        "includeObject" => query.include_object = value,
        _ => {}
    }
    Ok(())
}

/// k8s 1.37 apimachinery conversion of query values: empty is true, so that `?watch` works.
fn boolean(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "false" | "0")
}

fn number(value: &str) -> Result<i64, Status> {
    value.parse().map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {value:?}: invalid syntax")))
}

/// Refuses what is neither empty nor in `supported`. k8s 1.37 apimachinery pkg/apis/meta/v1/validation/validation.go;
/// upstream's 422 names the options' kind besides.
fn one_of(name: &str, value: &str, supported: &[&str]) -> Result<(), Status> {
    if value.is_empty() || supported.contains(&value) {
        return Ok(());
    }
    let list: Vec<String> = supported.iter().map(|word| format!("{word:?}")).collect();
    let text = format!("{name}: Unsupported value: {value:?}: supported values: {}", list.join(", "));
    Err(Status::failure(422, Reason::Invalid, text))
}

fn propagation(value: &str) -> Result<Propagation, Status> {
    match value {
        "Orphan" => Ok(Propagation::Orphan),
        "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        other => Err(Status::bad_request(format!(
            "propagationPolicy: Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\""
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_read_and_others_ignored() {
        let query = parse("labelSelector=app%3Dweb%2Ctier&limit=500&watch=1&timeoutSeconds=30&x=y").unwrap();
        assert_eq!(query.options.label_selector, "app=web,tier");
        assert_eq!((query.options.limit, query.watch, query.options.timeout_seconds), (500, true, Some(30)));
        assert_eq!(parse("").unwrap(), Query::default());
        assert!(!parse("watch=false").unwrap().watch);
    }

    #[test]
    fn impossible_values_are_refused() {
        assert_eq!(parse("limit=many").unwrap_err().code, 400);
        assert_eq!(parse("dryRun=Some").unwrap_err().code, 422);
        assert_eq!(parse("fieldValidation=Some").unwrap_err().code, 422);
        assert_eq!(parse("propagationPolicy=Sometimes").unwrap_err().code, 400);
    }
}
