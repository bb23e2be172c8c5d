//! The plain functions behind `km status` and `km why`: ask a running framework, show what it says.

use std::fmt::Write as _;

use km_base::ObjectKey;
use km_net::client::{ClientIdentity, HttpClient};
use km_net::{body, tls::Alpn};
use serde_json::Value;

/// Time to answer.
const TIMEOUT_MS: u64 = 5_000;
/// 150,000 pods at 300 bytes.
const BYTES_MAX: usize = 64 << 20;

/// A framework that could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// No answer.
    #[error("failed to ask the framework at {url}")]
    Ask {
        /// Who was asked.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer that is not a framework's.
    #[error("{url} answered {answer}")]
    Answer {
        /// Who was asked.
        url: String,
        /// What it said.
        answer: String,
    },
}

/// Returns a framework's status as JSON; `base` is its artifact server's URL.
///
/// # Errors
/// [`StatusError`].
pub async fn status(base: &str) -> Result<Value, StatusError> {
    let url = format!("{}/debug/status", base.trim_end_matches('/'));
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| StatusError::Ask { url: url.clone(), source };
    let identity = ClientIdentity { ca_pem: None, credential: None, bearer: None };
    let client = HttpClient::new(&identity, Alpn::Http1, TIMEOUT_MS).map_err(|e| failed(Box::new(e)))?;
    let request = http::Request::get(&url).body(body::empty()).map_err(|e| failed(Box::new(e)))?;
    let answer = client.fetch(request, TIMEOUT_MS, BYTES_MAX).await.map_err(|e| failed(Box::new(e)))?;
    if !answer.status().is_success() {
        return Err(StatusError::Answer { url, answer: answer.status().to_string() });
    }
    serde_json::from_slice(answer.body()).map_err(|e| failed(Box::new(e)))
}

/// Writes a status for people.
#[must_use]
pub fn text(status: &Value) -> String {
    let mut text = String::new();
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    let field = |value: &Value, name: &str| value[name].as_str().unwrap_or("-").to_owned();
    let ready = if status["ready"].as_bool().unwrap_or(false) { "subscribed" } else { "not subscribed" };
    let _ = writeln!(text, "framework  {} ({ready})", field(status, "frameworkId"));
    let _ = writeln!(text, "offers     {} held", status["offersHeld"]);
    let (tasks, waiting) = (list("tasks"), list("waiting"));
    let _ = writeln!(text, "tasks      {}", tasks.len());
    for task in &tasks {
        let _ = writeln!(text, "  {:<40} {:<10} {}", key(&task["key"]), field(task, "stage"), field(task, "node"));
    }
    let _ = writeln!(text, "waiting    {}", waiting.len());
    for pod in &waiting {
        let _ = writeln!(text, "  {:<40} {}", key(&pod["key"]), reason(pod));
    }
    text
}

/// Says why a pod waits, or that it does not.
#[must_use]
pub fn why(status: &Value, pod: &ObjectKey) -> String {
    let name = pod.to_string();
    let of =
        |list: &str| status[list].as_array().into_iter().flatten().find(|entry| key(&entry["key"]) == name).cloned();
    if let Some(waiting) = of("waiting") {
        return format!("{name} waits: {}", reason(&waiting));
    }
    match of("tasks") {
        Some(task) => format!(
            "{name} is {} on {} as task {}",
            task["stage"].as_str().unwrap_or("known"),
            task["node"].as_str().unwrap_or("-"),
            task["taskId"].as_str().unwrap_or("-")
        ),
        None => format!("{name} neither waits for an agent nor has a task: see its phase and events"),
    }
}

fn reason(waiting: &Value) -> String {
    match waiting["reason"].as_str().unwrap_or_default() {
        "" if waiting["failures"].as_u64().unwrap_or(0) > 0 => {
            format!("{} launches failed; the next is tried at {}", waiting["failures"], waiting["notBefore"])
        }
        "" => "an offer is awaited".to_owned(),
        reason => reason.to_owned(),
    }
}

fn key(value: &Value) -> String {
    let part = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    ObjectKey::namespaced(part("namespace"), part("name")).to_string()
}
