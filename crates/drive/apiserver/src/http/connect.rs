//! Subresources that lead to a node: logs, exec, attach, port-forward, and the node's own paths.
//!
//! The server calls the node's kubelet endpoint as its own identity and hands the answer through; an upgraded
//! connection (WebSocket, SPDY) is a stream of bytes in both directions that it does not look into.
//! Paths are upstream's kubelet's (k8s 1.37 pkg/kubelet/server/server.go).

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use km_api::resource::{NODES, PODS};
use km_api::{Reason, Status};
use km_base::chain;
use km_net::client::ClientIdentity;
use km_net::tls::Alpn;
use km_net::{ClientError, HttpClient, TaskSet};
use km_registry::Attributes;
use serde_json::Value;
use tracing::debug;

use super::path::ResourcePath;
use super::{Asked, Front, query, status_of};

/// A kubelet that does not take a connection in this time is gone.
const CONNECT_TIMEOUT_MS: u64 = 5_000;

/// The way to kubelets.
pub(crate) struct Kubelets {
    client: HttpClient,
    /// For pods and services, which are whatever their status says they are: one that claims a kubelet's address must
    /// not be called as those who command kubelets.
    nobody: HttpClient,
    tasks: TaskSet,
}

impl Kubelets {
    /// Makes the client; `tasks` runs the tunnels.
    ///
    /// # Errors
    /// When the identity cannot be used.
    pub(crate) fn new(identity: &ClientIdentity, tasks: TaskSet) -> Result<Self, ClientError> {
        // HTTP/1.1, because upgrades need it.
        let client = |identity: &ClientIdentity| HttpClient::new(identity, Alpn::Http1, CONNECT_TIMEOUT_MS);
        let anonymous = ClientIdentity { ca_pem: identity.ca_pem.clone(), ..ClientIdentity::default() };
        Ok(Self { client: client(identity)?, nobody: client(&anonymous)?, tasks })
    }
}

/// Tells whether the address is a subresource that leads to a node.
pub(super) fn is_connect(target: &ResourcePath) -> bool {
    match target.resource.plural {
        "pods" => matches!(target.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy"),
        "nodes" | "services" => target.subresource == "proxy",
        _ => false,
    }
}

impl Front {
    /// Connects a request to the node it is about.
    pub(super) async fn connect(
        &self,
        asked: &Asked,
        target: ResourcePath,
        request: Request<km_net::Body>,
    ) -> Result<Response<km_net::Body>, Status> {
        for verb in verbs(asked, &target)? {
            self.service.authorize(&asked.identity, &attributes(&target, verb))?;
        }
        let url = match target.resource.plural {
            "pods" | "services" if target.subresource == "proxy" => {
                let url = self.proxy_url(&target, &asked.query)?;
                return self.forward(&self.kubelets.nobody, url, request).await;
            }
            "nodes" => self.node_url(&target.name, &format!("/{}", target.rest), &asked.query)?,
            _ => self.pod_url(&target, &asked.query)?,
        };
        self.forward(&self.kubelets.client, url, request).await
    }

    fn pod_url(&self, target: &ResourcePath, query: &str) -> Result<Uri, Status> {
        let pod = self.object(&PODS, &target.namespace, &target.name)?;
        let options: Vec<(String, String)> = query::pairs(query).collect();
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let log = target.subresource == "log";
        let container = container(&pod, &options)?;
        if node.is_empty() {
            let why = if log {
                // An unscheduled pod has no logs yet: upstream answers with nothing.
                waiting(&container, &target.name, &pod)
            } else {
                Status::bad_request(format!("pod {} does not have a host assigned", target.name))
            };
            return Err(why);
        }
        if log && let Some(status) = not_started(&container, &target.name, &pod, &options) {
            return Err(status);
        }
        let (namespace, name) = (&target.namespace, &target.name);
        match target.subresource.as_str() {
            "log" => {
                self.node_url(node, &format!("/containerLogs/{namespace}/{name}/{container}"), &log_query(&options))
            }
            "portforward" => self.node_url(node, &format!("/portForward/{namespace}/{name}"), query),
            other => self.node_url(node, &format!("/{other}/{namespace}/{name}/{container}"), &stream_query(&options)),
        }
    }

    fn node_url(&self, name: &str, path: &str, query: &str) -> Result<Uri, Status> {
        // `nodes/<scheme>:<name>:<port>/proxy` exists upstream; only the plain form is served.
        let node = self.object(&NODES, "", name)?;
        let addresses = node["status"]["addresses"].as_array().cloned().unwrap_or_default();
        let address = ["InternalIP", "Hostname", "ExternalIP"]
            .iter()
            .find_map(|kind| addresses.iter().find(|a| a["type"] == *kind))
            .and_then(|a| a["address"].as_str())
            .ok_or_else(|| Status::internal(format!("node {name:?} has no address")))?;
        let port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_u64().unwrap_or(0);
        if port == 0 {
            return Err(Status::unavailable(format!("node {name:?} has no kubelet endpoint: no executor runs there")));
        }
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        format!("https://{host}:{port}{path}{query}")
            .parse()
            .map_err(|error| Status::bad_request(format!("the address of node {name:?} is unusable: {error}")))
    }

    pub(super) fn object(
        &self,
        resource: &'static km_api::Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Value, Status> {
        let state = self.service.state();
        state
            .get(&km_registry::key(resource, namespace, name))
            .and_then(|entry| crate::view::object(entry))
            .map(|object| object.to_value())
            .ok_or_else(|| Status::not_found(resource, name))
    }

    async fn forward(
        &self,
        client: &HttpClient,
        url: Uri,
        mut request: Request<km_net::Body>,
    ) -> Result<Response<km_net::Body>, Status> {
        let upgrades = request.headers().contains_key(UPGRADE);
        let client_side = upgrades.then(|| hyper::upgrade::on(&mut request));
        let host = url.authority().map(|a| a.as_str().to_owned()).unwrap_or_default();
        let outgoing = outgoing(url, request, upgrades)?;
        let mut response = client
            .send(outgoing)
            .await
            .map_err(|error| Status::internal(format!("error dialing backend: {host}: {}", chain(&error))))?;
        if let (Some(client_side), StatusCode::SWITCHING_PROTOCOLS) = (client_side, response.status()) {
            let node_side = hyper::upgrade::on(&mut response);
            self.kubelets.tasks.spawn_contained(format!("tunnel to {host}"), tunnel(client_side, node_side));
            let (head, _) = response.into_parts();
            return Ok(Response::from_parts(head, km_net::body::empty()));
        }
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(failure(response).await);
        }
        // Hop-by-hop; hyper writes its own.
        response.headers_mut().remove(TRANSFER_ENCODING);
        response.headers_mut().remove(CONNECTION);
        Ok(response)
    }
}

fn outgoing(url: Uri, request: Request<km_net::Body>, upgrades: bool) -> Result<Request<km_net::Body>, Status> {
    let (mut head, body) = request.into_parts();
    head.headers.remove(HOST);
    if !upgrades {
        head.headers.remove(CONNECTION);
        head.headers.remove(CONTENT_LENGTH);
    }
    let mut outgoing = Request::builder().method(head.method).uri(url);
    if let Some(headers) = outgoing.headers_mut() {
        *headers = head.headers;
    }
    outgoing.body(body).map_err(|error| Status::internal(&error))
}

/// Copies bytes both ways until one side ends.
async fn tunnel(client: hyper::upgrade::OnUpgrade, node: hyper::upgrade::OnUpgrade) {
    match futures::future::try_join(client, node).await {
        Ok((client, node)) => {
            let (mut client, mut node) = (TokioIo::new(client), TokioIo::new(node));
            if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut node).await {
                debug!(%error, "tunnel to a kubelet broke");
            }
        }
        Err(error) => debug!(error = %chain(&error), "a connection was not upgraded"),
    }
}

/// A kubelet's error as a `Status` with its own text.
async fn failure(response: Response<km_net::Body>) -> Status {
    let code = response.status().as_u16();
    let body = km_net::body::read_limited(response.into_body(), 64 << 10).await.unwrap_or_default();
    Status::from_answer(code, &body)
}

/// The verbs that a request needs: upstream since 1.35 asks for `create` also where the WebSocket handshake makes
/// the request a GET.
fn verbs(asked: &Asked, target: &ResourcePath) -> Result<&'static [&'static str], Status> {
    let proxies = target.subresource == "proxy";
    let streams = !proxies && target.subresource != "log";
    Ok(match &asked.method {
        &Method::GET if streams => &["get", "create"],
        &Method::GET | &Method::HEAD if !streams => &["get"],
        &Method::POST if streams || proxies => &["create"],
        &Method::PUT if proxies => &["update"],
        &Method::PATCH if proxies => &["patch"],
        &Method::DELETE if proxies => &["delete"],
        _ => return Err(status_of::method_not_allowed()),
    })
}

fn attributes(target: &ResourcePath, verb: &str) -> Attributes {
    Attributes {
        verb: verb.to_owned(),
        group: target.resource.group.to_owned(),
        resource: target.resource.plural.to_owned(),
        subresource: target.subresource.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        ..Attributes::default()
    }
}

fn option<'a>(options: &'a [(String, String)], name: &str) -> &'a str {
    options.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let containers = pod["spec"][list].as_array().map(Vec::as_slice).unwrap_or_default();
    containers.iter().filter_map(|c| c["name"].as_str()).map(str::to_owned).collect()
}

/// Returns the container that is meant: the one named, or the only one.
/// Texts: k8s 1.37 pkg/registry/core/pod/strategy.go, LogLocation and streamLocation.
fn container(pod: &Value, options: &[(String, String)]) -> Result<String, Status> {
    let (all, init) = (names(pod, "containers"), names(pod, "initContainers"));
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let asked = option(options, "container");
    if !asked.is_empty() {
        let known =
            [&all, &init, &names(pod, "ephemeralContainers")].iter().any(|list| list.iter().any(|n| n == asked));
        return if known {
            Ok(asked.to_owned())
        } else {
            Err(Status::bad_request(format!("container {asked} is not valid for pod {pod_name}")))
        };
    }
    let annotated = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str();
    if let Some(name) = annotated.filter(|name| all.iter().any(|n| n == name)) {
        return Ok(name.to_owned());
    }
    match all.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {pod_name}"))),
        many => {
            let mut text =
                format!("a container name must be specified for pod {pod_name}, choose one of: [{}]", many.join(" "));
            if !init.is_empty() {
                text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(text))
        }
    }
}

fn container_status<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"]
        .iter()
        .find_map(|list| pod["status"][*list].as_array()?.iter().find(|status| status["name"] == container))
}

/// 400 for logs of a container that has not run yet.
fn waiting(container: &str, pod_name: &str, pod: &Value) -> Status {
    let reason = container_status(pod, container)
        .and_then(|status| status["state"]["waiting"]["reason"].as_str())
        .unwrap_or("ContainerCreating");
    Status::failure(
        400,
        Reason::BadRequest,
        format!("container {container:?} in pod {pod_name:?} is waiting to start: {reason}"),
    )
}

fn not_started(container: &str, pod_name: &str, pod: &Value, options: &[(String, String)]) -> Option<Status> {
    let status = container_status(pod, container)?;
    let state = &status["state"];
    let ended = status["lastState"]["terminated"].is_object();
    if option(options, "previous") == "true" {
        return (!ended).then(|| {
            Status::bad_request(format!("previous terminated container {container:?} in pod {pod_name:?} not found"))
        });
    }
    (state["waiting"].is_object() && !ended).then(|| waiting(container, pod_name, pod))
}

/// The query of `/containerLogs`: the same names, without `container`.
fn log_query(options: &[(String, String)]) -> String {
    const KNOWN: [&str; 8] =
        ["follow", "previous", "timestamps", "tailLines", "sinceSeconds", "sinceTime", "limitBytes", "stream"];
    encode(options.iter().filter(|(name, value)| KNOWN.contains(&name.as_str()) && !value.is_empty()).cloned())
}

/// The query of `/exec` and `/attach`: the kubelet names the streams `input`, `output`, `error`, `tty`.
fn stream_query(options: &[(String, String)]) -> String {
    encode(options.iter().filter_map(|(name, value)| {
        let on = value == "true" || value == "1";
        match name.as_str() {
            "command" => Some(("command".to_owned(), value.clone())),
            "stdin" if on => Some(("input".to_owned(), "1".to_owned())),
            "stdout" if on => Some(("output".to_owned(), "1".to_owned())),
            "stderr" if on => Some(("error".to_owned(), "1".to_owned())),
            "tty" if on => Some(("tty".to_owned(), "1".to_owned())),
            _ => None,
        }
    }))
}

fn encode(pairs: impl Iterator<Item = (String, String)>) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
            out
        })
    };
    pairs.map(|(name, value)| format!("{name}={}", escape(&value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn streams_are_named_as_the_kubelet_names_them() {
        let asked =
            options(&[("command", "sh"), ("command", "-c"), ("command", "a b"), ("stdout", "true"), ("tty", "false")]);
        assert_eq!(stream_query(&asked), "command=sh&command=-c&command=a%20b&output=1");
        assert_eq!(
            log_query(&options(&[("container", "c"), ("follow", "true"), ("tailLines", "5")])),
            "follow=true&tailLines=5"
        );
    }

    #[test]
    fn container_must_be_named_where_there_are_several() {
        let two = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
        assert_eq!(
            container(&two, &[]).unwrap_err().message,
            "a container name must be specified for pod p, choose one of: [a b]"
        );
        assert_eq!(container(&two, &options(&[("container", "b")])).unwrap(), "b");
        assert_eq!(
            container(&two, &options(&[("container", "x")])).unwrap_err().message,
            "container x is not valid for pod p"
        );
    }

    #[test]
    fn logs_of_a_waiting_container_say_what_it_waits_for() {
        let pod = json!({"status": {"containerStatuses": [
            {"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}, "lastState": {}}]}});
        let status = not_started("c", "p", &pod, &[]).unwrap();
        assert_eq!(status.message, r#"container "c" in pod "p" is waiting to start: ImagePullBackOff"#);
    }
}
