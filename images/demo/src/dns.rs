//! Finds the IPv4 addresses of a name as a pod's resolver should: /etc/hosts, search list, ndots (RFC 1035 over UDP).

use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

/// What glibc waits for one server.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

struct Resolver {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    ndots: usize,
}

/// Returns the addresses of `name`, or the address that it is.
pub(crate) fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let known = in_hosts(&hosts, name);
    if !known.is_empty() {
        return Ok(known);
    }
    let resolver = Resolver::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    let mut last = io::Error::other(format!("{name}: no such name"));
    for candidate in resolver.candidates(name) {
        for server in &resolver.servers {
            match ask(*server, &candidate) {
                Ok(found) if found.is_empty() => break,
                Ok(found) => return Ok(found),
                Err(error) => last = io::Error::other(format!("asking {server} for {candidate}: {error}")),
            }
        }
    }
    Err(last)
}

fn in_hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let address: Ipv4Addr = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(IpAddr::V4(address))
    };
    lines.filter_map(address).collect()
}

impl Resolver {
    fn parse(text: &str) -> Self {
        let mut resolver = Self { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    resolver.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()))
                }
                Some("search") => resolver.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let ndots = words.rev().find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    resolver.ndots = ndots.unwrap_or(resolver.ndots);
                }
                _ => {}
            }
        }
        resolver
    }

    /// Names to ask for, in order (resolv.conf(5): `search` and `ndots`).
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let mut names: Vec<_> = self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let as_it_is = if name.matches('.').count() >= self.ndots { 0 } else { names.len() };
        names.insert(as_it_is, name.to_owned());
        names
    }
}

fn ask(server: IpAddr, name: &str) -> io::Result<Vec<IpAddr>> {
    let local: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((local, 0))?;
    socket.connect((server, 53))?;
    socket.set_read_timeout(Some(ANSWER_WITHIN))?;
    // The port is random and the socket connected: enough for a demo. The id only tells answers apart.
    let id = std::process::id().to_be_bytes();
    let id = [id[2], id[3]];
    socket.send(&query(id, name))?;
    let mut answer = [0; 4096];
    loop {
        let size = socket.recv(&mut answer)?;
        if answer[..size].starts_with(&id) {
            return addresses(&answer[..size]).ok_or_else(|| io::Error::other("malformed answer"));
        }
    }
}

fn query(id: [u8; 2], name: &str) -> Vec<u8> {
    // Recursion desired, one question.
    let mut message = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend_from_slice(label);
    }
    // End of name, type A, class IN.
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

/// Returns the A records of an answer; none for a name that does not exist, `None` when it is malformed.
fn addresses(message: &[u8]) -> Option<Vec<IpAddr>> {
    let number = |at: usize| Some(usize::from(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?])));
    match message.get(3)? & 0x0f {
        0 => {}
        3 => return Some(Vec::new()),
        _ => return None,
    }
    let mut at = 12;
    for _ in 0..number(4)? {
        at = after_name(message, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..number(6)? {
        at = after_name(message, at)?;
        let (kind, size) = (number(at)?, number(at + 8)?);
        let data = message.get(at + 10..at + 10 + size)?;
        if let (1, &[a, b, c, d]) = (kind, data) {
            found.push(Ipv4Addr::new(a, b, c, d).into());
        }
        at += 10 + size;
    }
    Some(found)
}

fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer & 0xc0 == 0xc0 => return Some(at + 2),
            label => at += 1 + usize::from(label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_go_through_the_search_list_first() {
        let text = "nameserver 10.96.0.10\nsearch a.svc.cluster.local svc.cluster.local\noptions ndots:5\n";
        let resolver = Resolver::parse(text);
        assert_eq!(resolver.servers, [IpAddr::from([10, 96, 0, 10])]);
        assert_eq!(resolver.candidates("web"), ["web.a.svc.cluster.local", "web.svc.cluster.local", "web"]);
        assert_eq!(resolver.candidates("web."), ["web"]);
        assert_eq!(resolver.candidates("a.b.c.d.e.f")[0], "a.b.c.d.e.f");
    }

    #[test]
    fn answers_give_their_a_records_past_other_types() {
        let mut message = query([1, 2], "web.example");
        message[2..4].copy_from_slice(&[0x81, 0x80]);
        message[6..8].copy_from_slice(&[0, 2]);
        message.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 7]);
        assert_eq!(addresses(&message), Some(vec![IpAddr::from([10, 0, 0, 7])]));
        message[3] = 0x83;
        assert_eq!(addresses(&message), Some(Vec::new()));
        assert_eq!(addresses(&message[..20]), Some(Vec::new()), "the code alone says that there is no such name");
        message[3] = 0x80;
        assert_eq!(addresses(&message[..40]), None);
    }

    #[test]
    fn hosts_file_wins_and_comments_do_not() {
        let hosts = "127.0.0.1 localhost\n10.0.0.2 web-0 web # web-1\n";
        assert_eq!(in_hosts(hosts, "WEB"), [IpAddr::from([10, 0, 0, 2])]);
        assert!(in_hosts(hosts, "web-1").is_empty());
    }
}
