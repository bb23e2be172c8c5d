//! Numbers about the server, in upstream's names where it has them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use km_api::Verb;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    resource: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    verb: &'static str,
    resource: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InFlightLabels {
    request_kind: &'static str,
}

/// The server's metrics.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram>,
    in_flight: Family<InFlightLabels, Gauge>,
    objects: Gauge,
    journal_bytes: Gauge,
    watchers: Gauge,
    watcher_count: Arc<AtomicU64>,
}

/// Counts a request in flight until dropped.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new(watcher_count: Arc<AtomicU64>) -> Self {
        let mut registry = Registry::default();
        let requests = Family::<RequestLabels, Counter>::default();
        // 1 ms to 32 s.
        let durations = Family::<DurationLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 2.0, 16))
        });
        let in_flight = Family::<InFlightLabels, Gauge>::default();
        let (objects, journal_bytes, watchers) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("apiserver_request", "Requests by verb, resource and code", requests.clone());
        registry.register(
            "apiserver_request_duration_seconds",
            "Time until a request's answer began",
            durations.clone(),
        );
        registry.register("apiserver_current_inflight_requests", "Requests being answered", in_flight.clone());
        registry.register("apiserver_storage_objects", "Keys in the store", objects.clone());
        registry.register(
            "apiserver_storage_journal_bytes",
            "Journal that a restart would read",
            journal_bytes.clone(),
        );
        registry.register("apiserver_longrunning_requests", "Watches", watchers.clone());
        Self {
            registry: Mutex::new(registry),
            requests,
            durations,
            in_flight,
            objects,
            journal_bytes,
            watchers,
            watcher_count,
        }
    }

    /// Counts an answered request.
    pub(crate) fn request(&self, method: &Method, resource: &'static str, code: u16, took: Duration) {
        let verb = label(method);
        self.durations.get_or_create(&DurationLabels { verb, resource }).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { verb, resource, code }).inc();
    }

    /// Counts a request while it is answered.
    pub(crate) fn in_flight(&self, verb: Verb) -> InFlight {
        let request_kind = if matches!(verb, Verb::Get | Verb::List | Verb::Watch) { "readOnly" } else { "mutating" };
        let gauge = self.in_flight.get_or_create(&InFlightLabels { request_kind }).clone();
        gauge.inc();
        InFlight(gauge)
    }

    /// Writes all metrics in the text format.
    pub(crate) fn text(&self, objects: usize, journal_bytes: u64) -> String {
        self.objects.set(i64::try_from(objects).unwrap_or(i64::MAX));
        self.journal_bytes.set(i64::try_from(journal_bytes).unwrap_or(i64::MAX));
        self.watchers.set(i64::try_from(self.watcher_count.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        match prometheus_client::encoding::text::encode(&mut text, &registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}

/// The label of a method: clients may send any word, and each would be a series of its own for as long as the server
/// runs.
fn label(method: &Method) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].into_iter().find(|known| method == *known).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_no_methods_make_no_series() {
        let metrics = Metrics::new(Arc::default());
        for word in ["GET", "BREW", "BREWS"] {
            metrics.request(&Method::from_bytes(word.as_bytes()).unwrap(), "pods", 405, Duration::ZERO);
        }
        let text = metrics.text(0, 0);
        assert!(text.contains(r#"verb="GET""#) && text.contains(r#"verb="other""#) && !text.contains("BREW"), "{text}");
    }
}
