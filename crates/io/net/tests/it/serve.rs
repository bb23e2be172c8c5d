//! Servers and the client against each other: who is seen, what is limited, how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, Version, header};
use hyper_util::rt::TokioIo;
use km_base::{Timestamp, chain};
use km_net::client::ClientIdentity;
use km_net::pki::{Ca, Credential, Validity};
use km_net::serve::Peer;
use km_net::tls::{self, Alpn};
use km_net::{
    Body, ClientError, HttpClient, PeerCertificate, ServeConfig, Service, Shutdown, TaskSet, body, serve_plain,
    serve_tls,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE_MS: u64 = 10_000;

struct Running {
    addr: SocketAddr,
    tasks: TaskSet,
    ca: Ca,
}

impl Running {
    async fn start(service: Arc<dyn Service>, config: ServeConfig, tls: bool) -> Self {
        let ca = ca("km");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let addr = listener.local_addr().expect("addr");
        let tasks = TaskSet::new(Shutdown::new());
        let shutdown = tasks.shutdown();
        if tls {
            let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
            let own = ca.issue_server("server", &names, validity()).expect("issue");
            let tls = tls::server_config(&own, Some(ca.certificate_pem())).expect("tls");
            tasks.spawn("server", serve_tls(listener, tls, service, config, shutdown));
        } else {
            tasks.spawn("server", serve_plain(listener, service, config, shutdown));
        }
        Self { addr, tasks, ca }
    }

    fn client(&self, credential: Option<Credential>, alpn: Alpn) -> HttpClient {
        let bearer = Some("s3cret".to_owned());
        let identity = ClientIdentity { ca_pem: Some(self.ca.certificate_pem().into()), credential, bearer };
        HttpClient::new(&identity, alpn, PATIENCE_MS).expect("client")
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.addr)
    }

    async fn stop(self) {
        self.tasks.shutdown().begin();
        self.tasks.finish(Duration::from_secs(20)).await.expect("clean end");
    }
}

fn validity() -> Validity {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    Validity::starting(Timestamp::from_secs(now.try_into().expect("small")), Duration::from_secs(3600))
}

fn ca(name: &str) -> Ca {
    Ca::generate(name, validity()).expect("ca")
}

fn quick() -> ServeConfig {
    ServeConfig { header_timeout_ms: 200, drain_ms: 200, ..ServeConfig::usual() }
}

fn get(url: String) -> Request<Body> {
    Request::get(url).body(body::empty()).expect("request")
}

/// Says who the caller is.
async fn whoami(request: Request<Body>) -> Response<Body> {
    let name = request.extensions().get::<PeerCertificate>().map_or("nobody", |peer| &peer.common_name);
    let known = request.extensions().get::<Peer>().is_some_and(|peer| peer.0.ip().is_loopback());
    let token = request.headers().get(header::AUTHORIZATION).is_some_and(|value| value == "Bearer s3cret");
    Response::new(body::full(format!("{name} {:?} {known} {token}", request.version())))
}

async fn ask(client: &HttpClient, url: String) -> String {
    let answer = client.fetch(get(url), PATIENCE_MS, 1000).await.map_err(|e| chain(&e).to_string());
    answer.map_or_else(|error| error, |answer| String::from_utf8_lossy(answer.body()).into_owned())
}

#[tokio::test]
async fn a_verified_client_certificate_reaches_the_service_over_both_versions() {
    let server = Running::start(Arc::new(whoami), quick(), true).await;
    let node = || Some(server.ca.issue_client("system:node:a", Some("system:nodes"), validity()).expect("issue"));
    let url = server.url("https", "/");
    assert_eq!(ask(&server.client(node(), Alpn::Http2Or1), url.clone()).await, "system:node:a HTTP/2.0 true true");
    assert_eq!(ask(&server.client(node(), Alpn::Http1), url.clone()).await, "system:node:a HTTP/1.1 true true");
    assert_eq!(ask(&server.client(None, Alpn::Http2Or1), url).await, "nobody HTTP/2.0 true true");
    server.stop().await;
}

#[tokio::test]
async fn who_speaks_http_to_tls_is_told_so() {
    let server = Running::start(Arc::new(whoami), ServeConfig::usual(), true).await;
    let mut stream = TcpStream::connect(server.addr).await.expect("connect");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    assert!(answer.contains("400 Bad Request") && answer.contains("to an HTTPS server"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn strangers_certificates_and_servers_are_refused() {
    let server = Running::start(Arc::new(whoami), quick(), true).await;
    let stranger = ca("stranger").issue_client("kubernetes-admin", Some("system:masters"), validity()).expect("issue");
    let refused = ask(&server.client(Some(stranger), Alpn::Http1), server.url("https", "/")).await;
    assert!(refused.contains("failed to call"), "{refused}");
    let identity = ClientIdentity { ca_pem: Some(ca("other").certificate_pem().into()), ..ClientIdentity::default() };
    let elsewhere = HttpClient::new(&identity, Alpn::Http1, PATIENCE_MS).expect("client");
    let refused = ask(&elsewhere, server.url("https", "/secret?token=1")).await;
    assert!(refused.contains("UnknownIssuer") && !refused.contains("token=1"), "{refused}");
    let plain = HttpClient::new(&ClientIdentity::default(), Alpn::Http1, PATIENCE_MS).expect("client");
    assert!(matches!(plain.send(get(server.url("https", "/"))).await, Err(ClientError::NoCa { .. })));
    server.stop().await;
}

#[tokio::test]
async fn plain_serving_and_the_clients_limits() {
    let service = |request: Request<Body>| async move {
        match request.uri().path() {
            "/never" => std::future::pending().await,
            "/echo" => match body::read_limited(request.into_body(), 4).await {
                Ok(bytes) => Response::new(body::full(bytes)),
                Err(error) => status(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            },
            _ => Response::new(body::full(vec![b'x'; 5000])),
        }
    };
    let server = Running::start(Arc::new(service), quick(), false).await;
    let client = server.client(None, Alpn::Http1);
    let echo = |text: &'static str| Request::post(server.url("http", "/echo")).body(body::full(text)).expect("request");
    assert_eq!(client.fetch(echo("four"), PATIENCE_MS, 10).await.expect("answer").body(), "four");
    let refused = client.fetch(echo("fives"), PATIENCE_MS, 100).await.expect("answer");
    assert_eq!(
        (refused.status(), &refused.body()[..]),
        (StatusCode::PAYLOAD_TOO_LARGE, &b"the body is larger than 4 bytes"[..])
    );
    let large = client.fetch(get(server.url("http", "/large")), PATIENCE_MS, 4999).await;
    assert!(matches!(large, Err(ClientError::Read { .. })));
    let late = client.fetch(get(server.url("http", "/never?a=b")), 50, 10).await.expect_err("late");
    assert!(late.to_string().ends_with("/never did not answer within 50 ms"), "{late}");
    server.stop().await;
}

fn status(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    response
}

#[tokio::test]
async fn connections_can_be_upgraded() {
    let streams = TaskSet::new(Shutdown::new());
    let spawner = streams.clone();
    let service = move |mut request: Request<Body>| {
        let upgraded = hyper::upgrade::on(&mut request);
        spawner.spawn_contained("echo", async move {
            let mut stream = TokioIo::new(upgraded.await.expect("upgrade"));
            let mut word = [0; 4];
            stream.read_exact(&mut word).await.expect("read");
            word.reverse();
            stream.write_all(&word).await.expect("write");
        });
        let mut response = status(StatusCode::SWITCHING_PROTOCOLS, String::new());
        response.headers_mut().insert(header::UPGRADE, header::HeaderValue::from_static("reverse"));
        response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
        async { response }
    };
    let server = Running::start(Arc::new(service), quick(), true).await;
    let mut request = get(server.url("https", "/"));
    request.headers_mut().insert(header::UPGRADE, header::HeaderValue::from_static("reverse"));
    request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    let mut response = server.client(None, Alpn::Http1).send(request).await.expect("answer");
    assert_eq!((response.status(), response.version()), (StatusCode::SWITCHING_PROTOCOLS, Version::HTTP_11));
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.expect("upgrade"));
    stream.write_all(b"abcd").await.expect("write");
    let mut word = [0; 4];
    stream.read_exact(&mut word).await.expect("read");
    assert_eq!(&word, b"dcba");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_reaches_the_reader_as_it_is_fed_and_is_cut_on_shutdown() {
    let (sender, stream) = body::channel(4);
    let once = std::sync::Mutex::new(Some(stream));
    let service = move |_: Request<Body>| {
        let stream = once.lock().expect("whole").take().unwrap_or_else(body::empty);
        async { Response::new(stream) }
    };
    let server = Running::start(Arc::new(service), quick(), true).await;
    let mut watch = server.client(None, Alpn::Http2Or1).send(get(server.url("https", "/"))).await.expect("head");
    for piece in ["one", "two"] {
        sender.send(piece.into()).await.expect("room");
        let frame = http_body_util::BodyExt::frame(watch.body_mut()).await.expect("more").expect("whole");
        assert_eq!(frame.into_data().expect("data"), piece);
    }
    // The stream never ends by itself: the server must cut it after its drain time.
    server.stop().await;
    assert!(http_body_util::BodyExt::frame(watch.body_mut()).await.is_none_or(|frame| frame.is_err()));
}

#[tokio::test]
async fn a_request_in_flight_is_answered_during_the_drain() {
    let (entered, mut inside) = tokio::sync::mpsc::channel(1);
    let leave = Arc::new(tokio::sync::Notify::new());
    let gate = Arc::clone(&leave);
    let service = move |_: Request<Body>| {
        let (entered, gate) = (entered.clone(), Arc::clone(&gate));
        async move {
            entered.send(()).await.expect("heard");
            gate.notified().await;
            Response::new(body::full("done"))
        }
    };
    let config = ServeConfig { drain_ms: PATIENCE_MS, ..quick() };
    let server = Running::start(Arc::new(service), config, true).await;
    let (client, url) = (server.client(None, Alpn::Http2Or1), server.url("https", "/"));
    let asking = tokio::spawn(async move { ask(&client, url).await });
    inside.recv().await.expect("entered");
    server.tasks.shutdown().begin();
    leave.notify_one();
    assert_eq!(asking.await.expect("asked"), "done");
    server.stop().await;
}

#[tokio::test]
async fn silent_connections_are_closed_and_make_room() {
    let config = ServeConfig { connections_max: 1, ..quick() };
    for tls in [false, true] {
        let server = Running::start(Arc::new(whoami), config.clone(), tls).await;
        let mut silent = TcpStream::connect(server.addr).await.expect("connect");
        // Waits in the listen queue until the silent one is closed.
        let answer = ask(&server.client(None, Alpn::Http1), server.url(if tls { "https" } else { "http" }, "/")).await;
        assert_eq!(answer, "nobody HTTP/1.1 true true");
        let mut rest = Vec::new();
        silent.read_to_end(&mut rest).await.expect("closed");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_panicking_service_costs_one_connection_only() {
    let service = |request: Request<Body>| async move {
        assert!(request.uri().path() != "/panic", "asked to");
        Response::new(body::full("fine"))
    };
    let server = Running::start(Arc::new(service), quick(), true).await;
    for alpn in [Alpn::Http1, Alpn::Http2Or1] {
        let client = server.client(None, alpn);
        assert!(ask(&client, server.url("https", "/panic")).await.contains("failed to call"));
        assert_eq!(ask(&client, server.url("https", "/")).await, "fine");
    }
    server.stop().await;
}
