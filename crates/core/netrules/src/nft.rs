//! Writes rule sets as nftables text for `nft -f -` (one transaction).
//!
//! ```text
//! prerouting (from the bridge), output ─▶ services ─▶ vmap ip . proto . port ─▶ svc-…: dnat to a random endpoint
//! prerouting, output, to a local address ─▶ local ─▶ vmap proto . port (node ports), map (host ports)
//! postrouting: a pod reaching itself, loopback to a pod, a pod to the outside ─▶ masquerade
//! forward, output: a Service without endpoints ─▶ reject
//! ```
//!
//! TCP is rejected by a reset: a node's ICMP errors to one pod are limited (net.ipv4.icmp_ratelimit), and where the
//! cluster IPs' route leads back to the bridge, the redirects that the kernel sends use the limit up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::{Backend, Frontend, NetConfig, Protocol, RuleSet};

/// Returns the text that removes the node's table, whether or not it is there.
#[must_use]
pub fn remove_script(table: &str) -> String {
    format!("add table ip {table}\ndelete table ip {table}\n")
}

/// Returns the text that leads from `old` (`None`: unknown, so everything is made anew) to `new`, or `None` when
/// there is nothing to do.
#[must_use]
pub fn script(config: &NetConfig, old: Option<&RuleSet>, new: &RuleSet) -> Option<String> {
    let table = &config.table;
    let mut out = String::new();
    let empty = RuleSet::default();
    let old = match old {
        Some(old) if old == new => return None,
        Some(old) => old,
        None => {
            out.push_str(&remove_script(table));
            out.push_str(&skeleton(config));
            &empty
        }
    };
    let mut edit = Edit { table, out: &mut out };
    edit.removals(old, new);
    edit.additions(old, new);
    Some(out)
}

/// The parts of the table that do not depend on Services.
fn skeleton(config: &NetConfig) -> String {
    let NetConfig { table, bridge, pod_cidr, cluster_cidr, .. } = config;
    format!(
        r#"table ip {table} {{
  map service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map service-node-ports {{ type inet_proto . inet_service : verdict; }}
  map host-ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  set no-endpoints {{ type ipv4_addr . inet_proto . inet_service; }}
  set hairpin {{ type ipv4_addr . ipv4_addr; }}
  chain services {{
    ip daddr . meta l4proto . th dport vmap @service-ips
  }}
  chain local {{
    meta l4proto . th dport vmap @service-node-ports
    meta l4proto {{ tcp, udp }} dnat ip to meta l4proto . th dport map @host-ports
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    iifname "{bridge}" jump services
    fib daddr type local jump local
  }}
  chain output {{
    type nat hook output priority -100;
    jump services
    fib daddr type local jump local
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr . ip daddr @hairpin masquerade
    oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
    ip saddr {pod_cidr} ip daddr != {cluster_cidr} oifname != "{bridge}" masquerade
  }}
  chain forward {{
    type filter hook forward priority filter;
    ip daddr . meta l4proto . th dport @no-endpoints meta l4proto tcp reject with tcp reset
    ip daddr . meta l4proto . th dport @no-endpoints reject
  }}
  chain filter-output {{
    type filter hook output priority filter;
    ip daddr . meta l4proto . th dport @no-endpoints meta l4proto tcp reject with tcp reset
    ip daddr . meta l4proto . th dport @no-endpoints reject
  }}
}}
"#
    )
}

struct Edit<'a> {
    table: &'a str,
    out: &'a mut String,
}

impl Edit<'_> {
    /// Deletes what is gone or different: first the elements that lead to a chain, then the chain.
    fn removals(&mut self, old: &RuleSet, new: &RuleSet) {
        for (frontend, backends) in stale(&old.services, &new.services) {
            if backends.is_empty() {
                self.line("delete element", "no-endpoints", &frontend_key(frontend));
            } else {
                self.line("delete element", "service-ips", &frontend_key(frontend));
                self.drop_chain(&service_chain(frontend));
            }
        }
        for (port, backends) in stale(&old.node_ports, &new.node_ports) {
            if !backends.is_empty() {
                self.line("delete element", "service-node-ports", &port_key(port));
                self.drop_chain(&node_port_chain(port));
            }
        }
        for (port, _) in stale(&old.host_ports, &new.host_ports) {
            self.line("delete element", "host-ports", &port_key(port));
        }
        for ip in old.endpoint_ips().difference(&new.endpoint_ips()) {
            self.line("delete element", "hairpin", &format!("{ip} . {ip}"));
        }
    }

    fn additions(&mut self, old: &RuleSet, new: &RuleSet) {
        for ip in new.endpoint_ips().difference(&old.endpoint_ips()) {
            self.line("add element", "hairpin", &format!("{ip} . {ip}"));
        }
        for (frontend, backends) in stale(&new.services, &old.services) {
            let key = frontend_key(frontend);
            if backends.is_empty() {
                self.line("add element", "no-endpoints", &key);
            } else {
                let chain = service_chain(frontend);
                self.add_chain(&chain, frontend.protocol, backends);
                self.line("add element", "service-ips", &format!("{key} : goto {chain}"));
            }
        }
        for (port, backends) in stale(&new.node_ports, &old.node_ports) {
            if !backends.is_empty() {
                let chain = node_port_chain(port);
                self.add_chain(&chain, port.0, backends);
                self.line("add element", "service-node-ports", &format!("{} : goto {chain}", port_key(port)));
            }
        }
        for (port, backend) in stale(&new.host_ports, &old.host_ports) {
            let element = format!("{} : {} . {}", port_key(port), backend.ip, backend.port);
            self.line("add element", "host-ports", &element);
        }
    }

    fn line(&mut self, verb: &str, set: &str, element: &str) {
        writeln!(self.out, "{verb} ip {} {set} {{ {element} }}", self.table).expect("writing to a String");
    }

    fn add_chain(&mut self, chain: &str, protocol: Protocol, backends: &BTreeSet<Backend>) {
        let table = self.table;
        let target = match backends.iter().collect::<Vec<_>>().as_slice() {
            [one] => format!("{}:{}", one.ip, one.port),
            many => {
                let choices: Vec<String> =
                    many.iter().enumerate().map(|(i, b)| format!("{i} : {} . {}", b.ip, b.port)).collect();
                format!("numgen random mod {} map {{ {} }}", many.len(), choices.join(", "))
            }
        };
        writeln!(
            self.out,
            "add chain ip {table} {chain}\nadd rule ip {table} {chain} meta l4proto {protocol} dnat ip to {target}"
        )
        .expect("writing to a String");
    }

    fn drop_chain(&mut self, chain: &str) {
        let table = self.table;
        writeln!(self.out, "flush chain ip {table} {chain}\ndelete chain ip {table} {chain}")
            .expect("writing to a String");
    }
}

/// Returns the entries of `from` that `to` lacks or has otherwise.
fn stale<'a, K: Ord + Copy, V: PartialEq>(
    from: &'a BTreeMap<K, V>,
    to: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (K, &'a V)> {
    from.iter().filter(|(k, v)| to.get(k) != Some(v)).map(|(k, v)| (*k, v))
}

fn frontend_key(frontend: Frontend) -> String {
    format!("{} . {} . {}", frontend.ip, frontend.protocol, frontend.port)
}

fn port_key((protocol, port): (Protocol, u16)) -> String {
    format!("{protocol} . {port}")
}

fn service_chain(frontend: Frontend) -> String {
    format!("svc-{}-{}-{}", dashed(frontend.ip), frontend.protocol, frontend.port)
}

fn node_port_chain((protocol, port): (Protocol, u16)) -> String {
    format!("node-port-{protocol}-{port}")
}

fn dashed(ip: Ipv4Addr) -> String {
    ip.to_string().replace('.', "-")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn rules(backends: &[u8]) -> RuleSet {
        let mut rules = RuleSet::default();
        let frontend = Frontend { ip: Ipv4Addr::new(10, 96, 0, 7), protocol: Protocol::Tcp, port: 80 };
        let backends = backends.iter().map(|n| Backend { ip: Ipv4Addr::new(10, 244, 1, *n), port: 8080 }).collect();
        rules.services.insert(frontend, backends);
        rules
    }

    fn check(old: &RuleSet, new: &RuleSet, expected: &Expect) {
        let config = crate::ruleset::tests::config();
        expected.assert_eq(&script(&config, Some(old), new).unwrap_or_default());
    }

    #[test]
    fn tcp_to_a_service_without_endpoints_is_reset() {
        let text = skeleton(&crate::ruleset::tests::config());
        let line = "@no-endpoints meta l4proto tcp reject with tcp reset";
        assert_eq!(text.matches(line).count(), 2, "forward and output");
        assert!(text.find(line) < text.find("@no-endpoints reject"), "before the rule that answers by ICMP");
    }

    #[test]
    fn a_change_touches_only_its_own_service() {
        check(&rules(&[2]), &rules(&[2]), &expect![[""]]);
        check(
            &rules(&[]),
            &rules(&[2, 3]),
            &expect![[r#"
                delete element ip km-a1 no-endpoints { 10.96.0.7 . tcp . 80 }
                add element ip km-a1 hairpin { 10.244.1.2 . 10.244.1.2 }
                add element ip km-a1 hairpin { 10.244.1.3 . 10.244.1.3 }
                add chain ip km-a1 svc-10-96-0-7-tcp-80
                add rule ip km-a1 svc-10-96-0-7-tcp-80 meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.244.1.2 . 8080, 1 : 10.244.1.3 . 8080 }
                add element ip km-a1 service-ips { 10.96.0.7 . tcp . 80 : goto svc-10-96-0-7-tcp-80 }
            "#]],
        );
        check(
            &rules(&[2, 3]),
            &rules(&[3]),
            &expect![[r#"
                delete element ip km-a1 service-ips { 10.96.0.7 . tcp . 80 }
                flush chain ip km-a1 svc-10-96-0-7-tcp-80
                delete chain ip km-a1 svc-10-96-0-7-tcp-80
                delete element ip km-a1 hairpin { 10.244.1.2 . 10.244.1.2 }
                add chain ip km-a1 svc-10-96-0-7-tcp-80
                add rule ip km-a1 svc-10-96-0-7-tcp-80 meta l4proto tcp dnat ip to 10.244.1.3:8080
                add element ip km-a1 service-ips { 10.96.0.7 . tcp . 80 : goto svc-10-96-0-7-tcp-80 }
            "#]],
        );
    }

    #[test]
    fn an_unknown_state_is_made_anew_in_one_transaction() {
        let text = script(&crate::ruleset::tests::config(), None, &rules(&[2])).unwrap();
        assert!(text.starts_with("add table ip km-a1\ndelete table ip km-a1\ntable ip km-a1 {"), "{text}");
        assert!(text.ends_with("goto svc-10-96-0-7-tcp-80 }\n"), "{text}");
    }
}
