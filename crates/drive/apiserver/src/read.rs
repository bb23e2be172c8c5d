//! Reads: objects and lists straight from a durable snapshot, as the bytes that were written.
//!
//! Nothing is decoded where nothing is selected: a list hands out the stored bytes by reference count.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use km_api::{List, Object, Options, Reason, Request, Resource, Status};
use km_base::Revision;
use km_mvcc::{Range, RevisionError, Snapshot};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::watch::Filter;

/// How long a list waits for a revision that this server has not reached.
/// k8s 1.37 apiserver/pkg/storage/cacher: blockTimeout.
const WAIT_FOR_REVISION: Duration = Duration::from_secs(3);
/// Keys read at once while a filtered page is filled; a selector that finds little looks at the whole collection.
const SCAN_CHUNK_LEN: usize = 1_024;

/// A list as stored bytes.
#[derive(Debug)]
pub(crate) struct Page {
    /// The revision of the list.
    pub(crate) revision: Revision,
    /// The objects, in key order.
    pub(crate) items: Vec<Bytes>,
    /// Token of the next page, or empty.
    pub(crate) continue_token: String,
    /// Objects after this page, where that is known.
    pub(crate) remaining: Option<u64>,
}

impl Page {
    /// Reads the objects.
    pub(crate) fn into_list(self) -> List {
        List {
            revision: self.revision,
            items: self.items.into_iter().filter_map(|bytes| Object::parse(bytes).ok()).collect(),
            continue_token: self.continue_token,
            remaining: self.remaining,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct ContinueToken {
    v: String,
    rv: u64,
    start: String,
}

/// Waits until `published` has the revision that the options ask for at least, and returns that state.
///
/// # Errors
/// 400 for a resource version that is no number, 504 when the revision does not come.
pub(crate) async fn fresh(published: &watch::Receiver<Snapshot>, options: &Options) -> Result<Snapshot, Status> {
    let asked = revision(&options.resource_version)?.unwrap_or_default();
    let mut waiting = published.clone();
    let reached = async { waiting.wait_for(|snapshot| snapshot.revision() >= asked).await.map(|s| s.clone()) };
    match tokio::time::timeout(WAIT_FOR_REVISION, reached).await {
        Ok(Ok(snapshot)) => Ok(snapshot),
        Ok(Err(_)) => Err(Status::unavailable("the API server is stopping")),
        Err(_) => {
            let current = published.borrow().revision();
            Err(Status::timeout(format!("Too large resource version: {asked}, current: {current}")))
        }
    }
}

/// Reads a `resourceVersion`; `None` for empty and `0`.
pub(crate) fn revision(text: &str) -> Result<Option<Revision>, Status> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    text.parse::<u64>().map(|n| Some(Revision(n))).map_err(|_| {
        Status::bad_request(format!("Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"))
    })
}

/// Reads a page of a collection.
///
/// # Errors
/// 400 for bad selectors or tokens, 410 when the revision asked for is compacted.
pub(crate) fn list(snapshot: &Snapshot, request: &Request) -> Result<Page, Status> {
    let options = &request.options;
    let filter = Filter::new(request.resource, &request.namespace, options)?;
    let (at, mut after) = start(&filter, options)?;
    let limit = usize::try_from(options.limit).ok().filter(|limit| *limit > 0);
    let mut items = Vec::new();
    let simple = filter.selects_all() && !converts(request.resource);
    loop {
        let want = limit.map(|limit| limit - items.len());
        let chunk = if simple { want } else { want.map(|_| SCAN_CHUNK_LEN) };
        let range = Range {
            prefix: &filter.prefix,
            after: after.as_deref(),
            limit: chunk,
            at: Some(at.unwrap_or(snapshot.revision())),
        };
        let page = snapshot.range(range).map_err(|err| gone(&err, options))?;
        let (mut remaining, mut last) = (page.remaining, None);
        for (index, entry) in page.entries.iter().enumerate() {
            if want.is_some_and(|_| limit.is_some_and(|limit| items.len() == limit)) {
                remaining += page.entries.len() - index;
                break;
            }
            last = Some(entry.key.to_string());
            if simple {
                items.push(entry.value.clone());
            } else if filter.may_match(entry)
                && let Some(object) = crate::view::object(entry).filter(|o| filter.matches(o))
            {
                items.push(km_registry::present(request.resource, object).bytes().clone());
            }
        }
        let full = limit.is_some_and(|limit| items.len() >= limit);
        if remaining == 0 || full {
            let more = remaining > 0;
            let continue_token = match (more, &last) {
                (true, Some(last)) => token(&filter, page.revision, last),
                _ => String::new(),
            };
            let known = more && filter.selects_all();
            let remaining = known.then(|| u64::try_from(remaining).unwrap_or(u64::MAX));
            return Ok(Page { revision: page.revision, items, continue_token, remaining });
        }
        after = last;
    }
}

/// Events are stored in one form and served in two.
fn converts(resource: &Resource) -> bool {
    resource.group == "events.k8s.io"
}

/// Where a list begins: its revision, where it must be an exact one, and the key before its first.
fn start(filter: &Filter, options: &Options) -> Result<(Option<Revision>, Option<String>), Status> {
    if options.continue_token.is_empty() {
        let exact = options.resource_version_match == "Exact";
        return Ok((if exact { revision(&options.resource_version)? } else { None }, None));
    }
    if revision(&options.resource_version)?.is_some() {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    let invalid = || Status::bad_request("continue key is not valid: encoded continue token has wrong form");
    let json = URL_SAFE_NO_PAD.decode(options.continue_token.trim_end_matches('=')).map_err(|_| invalid())?;
    let token: ContinueToken = serde_json::from_slice(&json).map_err(|_| invalid())?;
    if token.v != "meta.k8s.io/v1" || token.rv == 0 {
        return Err(invalid());
    }
    Ok((Some(Revision(token.rv)), Some(format!("{}{}", filter.prefix, token.start))))
}

fn token(filter: &Filter, revision: Revision, last: &str) -> String {
    let start = last.strip_prefix(&filter.prefix).unwrap_or(last).to_owned();
    let token = ContinueToken { v: "meta.k8s.io/v1".to_owned(), rv: revision.0, start };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("a token is text and a number"))
}

fn gone(error: &RevisionError, options: &Options) -> Status {
    match error {
        RevisionError::Future { asked, current } => {
            Status::failure(504, Reason::Timeout, format!("Too large resource version: {asked}, current: {current}"))
        }
        _ if options.continue_token.is_empty() => {
            Status::expired("The resourceVersion for the provided list is too old.")
        }
        _ => Status::expired(
            "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use km_api::Verb;
    use km_api::resource::{CONFIG_MAPS, PODS};
    use km_mvcc::{Durability, Expect, Limits, Mvcc, Op, Txn};

    use super::*;

    fn put(mvcc: &mut Mvcc, name: &str, label: &str) {
        let json = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}","namespace":"d","labels":{{"l":"{label}"}}}}}}"#
        );
        let key = km_registry::key(&CONFIG_MAPS, "d", name);
        let ops = vec![Op::put(key, Expect::Any, Bytes::from(json))];
        mvcc.apply(Txn { ops, durability: Durability::Sync }).unwrap();
    }

    fn request(options: Options) -> Request {
        let mut request = Request::new(Verb::List, &CONFIG_MAPS, "d", "");
        request.options = options;
        request
    }

    fn state(count: usize) -> Mvcc {
        let mut mvcc = Mvcc::new(Limits { events_max: 10_000, events_bytes_max: 1 << 30 });
        for n in 0..count {
            put(&mut mvcc, &format!("m{n:05}"), if n % 3 == 0 { "a" } else { "b" });
        }
        mvcc
    }

    #[test]
    fn filtered_pages_hold_every_match_once() {
        let mvcc = state(3_000);
        let mut options = Options { limit: 7, label_selector: "l=a".into(), ..Options::default() };
        let mut found = 0;
        loop {
            let page = list(mvcc.head(), &request(options.clone())).unwrap();
            found += page.items.len();
            assert!(page.items.len() <= 7 && page.remaining.is_none());
            if page.continue_token.is_empty() {
                break;
            }
            options.continue_token = page.continue_token;
        }
        assert_eq!(found, 1_000);
    }

    #[test]
    fn pods_are_found_by_node_and_by_name() {
        let mut mvcc = state(0);
        for (name, spec) in [("a", r#"{"nodeName":"n1"}"#), ("b", r#"{"nodeName":"n10"}"#), ("c", "{}")] {
            let json = format!(
                r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"d"}},"spec":{spec}}}"#
            );
            let ops = vec![Op::put(km_registry::key(&PODS, "d", name), Expect::Any, Bytes::from(json))];
            mvcc.apply(Txn { ops, durability: Durability::Sync }).unwrap();
        }
        for (selector, want) in [
            ("spec.nodeName=n1", 1),
            ("spec.nodeName=", 1),
            ("spec.nodeName!=n1", 2),
            ("metadata.name=b", 1),
            ("metadata.name=x", 0),
        ] {
            let mut request = Request::new(Verb::List, &PODS, "", "");
            request.options.field_selector = selector.into();
            assert_eq!(list(mvcc.head(), &request).unwrap().items.len(), want, "{selector}");
        }
    }

    #[test]
    fn compacted_pages_and_revisions_are_expired() {
        let mut mvcc = state(10);
        let first = list(mvcc.head(), &request(Options { limit: 3, ..Options::default() })).unwrap();
        put(&mut mvcc, "later", "a");
        let exact = Options {
            resource_version: first.revision.to_string(),
            resource_version_match: "Exact".into(),
            ..Options::default()
        };
        assert_eq!(list(mvcc.head(), &request(exact.clone())).unwrap().items.len(), 10);
        mvcc.compact(mvcc.head().revision()).unwrap();
        let next = Options { continue_token: first.continue_token, ..Options::default() };
        for options in [exact, next] {
            assert_eq!(list(mvcc.head(), &request(options)).unwrap_err().code, 410);
        }
        let nonsense = Options { continue_token: "nonsense".into(), ..Options::default() };
        assert_eq!(list(mvcc.head(), &request(nonsense)).unwrap_err().code, 400);
    }
}
