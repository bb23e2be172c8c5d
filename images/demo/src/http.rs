//! Just enough HTTP/1.1: a server that greets, a client that gets.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::dns;

/// How long either side may stay silent.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The longest request or answer head that is read.
const HEAD_BYTES_MAX: u64 = 16 << 10;

/// Answers connections, each in a thread of its own, until the program ends.
pub(crate) fn accept(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        thread::spawn(move || {
            // A client that goes away is not worth a word.
            let _ = answer(&stream);
        });
    }
}

fn answer(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    let mut reader = BufReader::new(stream.take(HEAD_BYTES_MAX));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (status, body) = match path {
        "/healthz" => ("200 OK", "ok\n".to_owned()),
        "/" => ("200 OK", greeting()),
        other => ("404 Not Found", format!("nothing at {other}\n")),
    };
    println!("{} {}", request.trim_end(), status);
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Says who answers, from what the downward API put into the environment.
fn greeting() -> String {
    let known = |name: &str| std::env::var(name).unwrap_or_else(|_| "?".to_owned());
    let hello = std::env::var("GREETING").unwrap_or_else(|_| "Hello from Kubernetes on Mesos!".to_owned());
    format!(
        "{hello}\npod: {}\nnamespace: {}\nnode: {}\nip: {}\n",
        std::env::var("POD_NAME").unwrap_or_else(|_| known("HOSTNAME")),
        known("POD_NAMESPACE"),
        known("NODE_NAME"),
        known("POD_IP")
    )
}

/// Gets `http://host[:port]/path` and returns the body; a status of 400 or more is an error.
pub(crate) fn get(url: &str) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::other(format!("want http://HOST[:PORT]/PATH, got {url:?}"));
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let address = *dns::lookup(host)?.first().ok_or_else(|| io::Error::other(format!("{host} has no address")))?;

    let mut stream = TcpStream::connect_timeout(&(address, port).into(), SILENCE_MAX)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    // HTTP/1.0 keeps the answer free of chunks: the body ends with the connection.
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {authority}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head =
        answer.windows(4).position(|part| part == b"\r\n\r\n").ok_or_else(|| io::Error::other("no HTTP answer"))?;
    let status = String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).parse().unwrap_or(0_u16);
    let body = answer.split_off(head + 4);
    if (200..400).contains(&status) {
        Ok(body)
    } else {
        Err(io::Error::other(format!("status {status}: {}", String::from_utf8_lossy(&body).trim_end())))
    }
}
