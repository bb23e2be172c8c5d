//! Runs probes and hooks against containers: exec, http, grpc, tcp, sleep. Results become events; nothing is decided.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use km_kinds::api::core::v1::{Container, ExecAction, HTTPGetAction, Probe};
use km_kinds::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::context::Context;

/// Most of a probe's output that is shown.
// k8s 1.33 pkg/probe/http/http.go: maxRespBodyLength 10 KiB; messages show 256 bytes of it here.
const OUTPUT_SHOWN: usize = 256;
const RESPONSE_BYTES_MAX: u64 = 10 << 10;

/// Who is probed.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) container: Container,
    pub(crate) id: String,
    pub(crate) pod_ip: String,
}

/// Probes once.
pub(crate) async fn once(ctx: &Arc<Context>, target: &Target, probe: &Probe) -> Result<(), String> {
    let limit = Duration::from_secs(positive(probe.timeout_seconds, 1));
    if let Some(action) = &probe.exec {
        return exec(ctx, &target.id, action, limit).await;
    }
    if let Some(action) = &probe.http_get {
        return http(target, action, limit).await;
    }
    if let Some(action) = &probe.tcp_socket {
        let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&target.pod_ip);
        let port = port(&target.container, &action.port)?;
        return tcp(host, port, limit).await.map(drop);
    }
    if let Some(action) = &probe.grpc {
        let port = u16::try_from(action.port).map_err(|_| format!("invalid port {}", action.port))?;
        return grpc(&target.pod_ip, port, action.service.as_deref().unwrap_or_default(), limit).await;
    }
    Err("missing probe handler".to_owned())
}

pub(crate) fn positive(value: Option<i32>, default: u64) -> u64 {
    value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default)
}

/// Runs a command in a container.
pub(crate) async fn exec(ctx: &Context, id: &str, action: &ExecAction, limit: Duration) -> Result<(), String> {
    let command = action.command.clone().unwrap_or_default();
    match ctx.runtime.cri.exec_sync(id, &command, limit).await {
        Ok(output) if output.exit_code == 0 => Ok(()),
        Ok(output) => {
            let bytes = [output.stdout, output.stderr].concat();
            Err(String::from_utf8_lossy(&bytes[..bytes.len().min(OUTPUT_SHOWN)]).into_owned())
        }
        Err(error) if error.is_timeout() => {
            Err(format!("command timed out: {command:?} timed out after {}s", limit.as_secs()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Makes an HTTP request; 2xx and 3xx succeed.
pub(crate) async fn http(target: &Target, action: &HTTPGetAction, limit: Duration) -> Result<(), String> {
    let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&target.pod_ip);
    let port = port(&target.container, &action.port)?;
    let path = action.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let scheme = action.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let url = format!("{scheme}://{host}:{port}{slash}{path}");
    let mut head = format!("GET {slash}{path} HTTP/1.1\r\nConnection: close\r\n");
    let mut own_host = false;
    for header in action.http_headers.iter().flatten() {
        own_host |= header.name.eq_ignore_ascii_case("host");
        if !header.name.contains(['\r', '\n']) && !header.value.contains(['\r', '\n']) {
            head.push_str(&format!("{}: {}\r\n", header.name, header.value));
        }
    }
    if !own_host {
        head.push_str(&format!("Host: {host}:{port}\r\n"));
    }
    head.push_str("User-Agent: kube-probe/1.37\r\nAccept: */*\r\n\r\n");
    let exchange = async {
        let stream = TcpStream::connect((host, port)).await.map_err(|error| dial(host, port, &error))?;
        let answer = if scheme == "https" {
            // As with a kubelet, the certificate is not looked at. (k8s 1.33 pkg/probe/http/http.go.)
            match km_net::tls::connect_unverified(stream, host).await {
                Ok(stream) => talk(stream, &head).await,
                Err(error) => Err(error),
            }
        } else {
            talk(stream, &head).await
        };
        answer.map_err(|error| error.to_string())
    };
    let answer = match timeout(limit, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(format!("Get {url:?}: {error}")),
        Err(_) => {
            return Err(format!(
                "Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            ));
        }
    };
    let line = String::from_utf8_lossy(&answer[..answer.len().min(64)]).into_owned();
    match line.split_whitespace().nth(1).and_then(|code| code.parse::<u16>().ok()) {
        Some(code) if (200..400).contains(&code) => Ok(()),
        Some(code) => Err(format!("HTTP probe failed with statuscode: {code}")),
        None => Err(format!("Get {url:?}: malformed HTTP response")),
    }
}

/// Sends a request and reads the answer, at most what a probe may see of it.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, head: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.take(RESPONSE_BYTES_MAX).read_to_end(&mut answer).await {
        // Many servers end a TLS connection without saying so first.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && !answer.is_empty() => {}
        other => drop(other?),
    }
    Ok(answer)
}

/// Asks the server's health service; SERVING succeeds. (k8s 1.33 pkg/probe/grpc/grpc.go; the texts are its.)
async fn grpc(host: &str, port: u16, service: &str, limit: Duration) -> Result<(), String> {
    let exchange = async {
        let stream = TcpStream::connect((host, port)).await.map_err(|error| dial(host, port, &error))?;
        let executor = hyper_util::rt::TokioExecutor::new();
        let opened = hyper::client::conn::http2::handshake(executor, hyper_util::rt::TokioIo::new(stream)).await;
        let (mut sender, connection) = opened.map_err(|error| error.to_string())?;
        let request = http::Request::post(format!("http://{host}:{port}/grpc.health.v1.Health/Check"))
            .header(http::header::CONTENT_TYPE, "application/grpc")
            .header(http::header::TE, "trailers")
            .header(http::header::USER_AGENT, "kube-probe/1.37")
            .body(http_body_util::Full::new(health_request(service)))
            .map_err(|error| error.to_string())?;
        let asking = async {
            let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?;
            // Without a message the status stands in the header.
            let trailers = body.trailers().cloned().unwrap_or_default();
            let text = |name: &str| {
                let value = trailers.get(name).or_else(|| head.headers.get(name));
                value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
            };
            health_answer(&text("grpc-status"), &text("grpc-message"), &body.to_bytes())
        };
        tokio::select! {
            outcome = asking => outcome,
            // The answer tells why, when the connection has an end of its own.
            ended = connection => Err(ended.err().map_or("the server hung up".to_owned(), |error| error.to_string())),
        }
    };
    timeout(limit, exchange).await.unwrap_or_else(|_| {
        Err(format!("timeout: failed to connect service \"{host}:{port}\" within {}s", limit.as_secs()))
    })
}

/// `HealthCheckRequest { service = 1 }` in a gRPC frame: not compressed, length in four bytes.
fn health_request(service: &str) -> bytes::Bytes {
    let message = if service.is_empty() { Vec::new() } else { prost_string(1, service) };
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    frame.extend(message);
    frame.into()
}

fn prost_string(tag: u32, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::string::encode(tag, &text.to_owned(), &mut out);
    out
}

/// Reads `HealthCheckResponse { status = 1 }`; 1 is SERVING.
fn health_answer(status: &str, message: &str, body: &[u8]) -> Result<(), String> {
    match status {
        "0" => {}
        "12" => {
            let what = "this server does not implement the grpc health protocol (grpc.health.v1.Health)";
            return Err(format!("error: {what}: {message}"));
        }
        code => return Err(format!("error: health rpc failed: rpc error: code = {code} desc = {message}")),
    }
    match body.get(5..) {
        Some([0x08, 1, ..]) => Ok(()),
        Some([0x08, 2, ..]) => Err("service unhealthy (responded with \"NOT_SERVING\")".to_owned()),
        Some([0x08, 3, ..]) => Err("service unhealthy (responded with \"SERVICE_UNKNOWN\")".to_owned()),
        _ => Err("service unhealthy (responded with \"UNKNOWN\")".to_owned()),
    }
}

async fn tcp(host: &str, port: u16, limit: Duration) -> Result<TcpStream, String> {
    match timeout(limit, TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(dial(host, port, &error)),
        Err(_) => Err(format!("dial tcp {host}:{port}: i/o timeout")),
    }
}

/// Writes a failed connection as Go does, which is how people know it.
fn dial(host: &str, port: u16, error: &std::io::Error) -> String {
    let what = match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        _ => error.to_string(),
    };
    format!("dial tcp {host}:{port}: {what}")
}

fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let found = match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|p| p.name.as_deref() == Some(name))
            .and_then(|p| u16::try_from(p.container_port).ok())
            .or_else(|| name.parse().ok()),
    };
    found.ok_or_else(|| match port {
        IntOrString::Int(number) => format!("invalid port number: {number}"),
        IntOrString::String(name) => format!("couldn't find port: {name}"),
    })
}

#[cfg(test)]
mod tests {
    use km_net::body::{self, Body};
    use km_net::pki::{Ca, Validity};
    use km_net::{ServeConfig, Shutdown, serve_tls, tls};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn https_is_probed_whoever_signed_the_certificate() {
        let validity = Validity::starting(crate::context::now(), Duration::from_secs(3_600));
        let ca = Ca::generate("nobody", validity).unwrap();
        let serving = ca.issue_server("other", &["other.example".to_owned()], validity).unwrap();
        let config = tls::server_config(&serving, None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = |request: http::Request<Body>| async move {
            let mut response = http::Response::new(body::full("ok"));
            if request.uri().path() != "/healthz" {
                *response.status_mut() = http::StatusCode::NOT_FOUND;
            }
            response
        };
        let shutdown = Shutdown::new();
        let serve = tokio::spawn(serve_tls(
            listener,
            config,
            std::sync::Arc::new(service),
            ServeConfig::usual(),
            shutdown.clone(),
        ));
        let target = Target { container: Container::default(), id: String::new(), pod_ip: "127.0.0.1".to_owned() };
        let ask = |path: &str| HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(port)),
            scheme: Some("HTTPS".to_owned()),
            ..HTTPGetAction::default()
        };
        let limit = Duration::from_secs(10);
        assert_eq!(http(&target, &ask("/healthz"), limit).await, Ok(()));
        let missing = http(&target, &ask("/other"), limit).await;
        assert_eq!(missing, Err("HTTP probe failed with statuscode: 404".to_owned()));
        shutdown.begin();
        serve.await.unwrap();
    }

    #[tokio::test]
    async fn the_health_service_is_asked_by_grpc() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = |request: http::Request<Body>| async move {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let asked = request.into_body().collect().await.unwrap().to_bytes();
            let status = match &asked[..] {
                [0, 0, 0, 0, 0] => 1,
                b"\0\0\0\0\x06\x0a\x04slow" => 2,
                _ => 3,
            };
            let mut response = http::Response::new(body::full(vec![0, 0, 0, 0, 2, 8, status]));
            response.headers_mut().insert("grpc-status", http::HeaderValue::from_static("0"));
            response
        };
        let shutdown = Shutdown::new();
        let serve = tokio::spawn(km_net::serve_plain(
            listener,
            std::sync::Arc::new(service),
            ServeConfig::usual(),
            shutdown.clone(),
        ));
        let limit = Duration::from_secs(10);
        assert_eq!(grpc("127.0.0.1", port, "", limit).await, Ok(()));
        let unhealthy = |state: &str| Err(format!("service unhealthy (responded with {state:?})"));
        assert_eq!(grpc("127.0.0.1", port, "slow", limit).await, unhealthy("NOT_SERVING"));
        assert_eq!(grpc("127.0.0.1", port, "other", limit).await, unhealthy("SERVICE_UNKNOWN"));
        shutdown.begin();
        serve.await.unwrap();
        assert!(health_answer("12", "unknown service", b"").unwrap_err().contains("does not implement"));
    }
}
