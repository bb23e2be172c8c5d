//! Serves DNS over UDP and TCP: cluster names from `core/netrules`, all others from the host's resolvers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::name::PTR;
use hickory_proto::rr::rdata::{A, CNAME, SRV};
use hickory_proto::rr::{Name, RData, Record as WireRecord, RecordType};
use km_netrules::dns::{Answer, Names, QueryType, Record, TTL_SECS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{ProxyConfig, ProxyError};

/// Largest UDP question or forwarded answer; EDNS clients ask for at most 4 KiB in practice.
const UDP_BYTES_MAX: usize = 4_096;
/// Questions answered at a time; more wait in the socket's buffer, and are asked again when it overflows.
const QUESTIONS_MAX: usize = 256;
/// A resolver that does not answer within this time is passed over.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(2);
/// An idle TCP client is hung up on after this long.
const TCP_IDLE: Duration = Duration::from_secs(10);

/// The DNS server of a node.
pub(crate) struct Server {
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
    resolver: Arc<Resolver>,
}

struct Resolver {
    names: watch::Receiver<Arc<Names>>,
    upstreams: Vec<SocketAddr>,
}

impl Server {
    pub(crate) async fn bind(config: &ProxyConfig, names: watch::Receiver<Arc<Names>>) -> Result<Self, ProxyError> {
        let address = config.dns_address();
        let failed = |source| ProxyError::Bind { address, purpose: "the cluster's DNS", source };
        let udp = Arc::new(UdpSocket::bind(address).await.map_err(failed)?);
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let resolver = Arc::new(Resolver { names, upstreams: config.resolvers.clone() });
        Ok(Self { udp, tcp, resolver })
    }

    /// Serves until dropped.
    pub(crate) async fn run(self) {
        let mut tasks: JoinSet<()> = JoinSet::new();
        let mut buffer = vec![0; UDP_BYTES_MAX];
        loop {
            let free = tasks.len() < QUESTIONS_MAX;
            tokio::select! {
                received = self.udp.recv_from(&mut buffer), if free => {
                    if let Ok((len, client)) = received {
                        let question = buffer[..len].to_vec();
                        tasks.spawn(answer_udp(Arc::clone(&self.udp), Arc::clone(&self.resolver), question, client));
                    }
                }
                accepted = self.tcp.accept(), if free => {
                    if let Ok((stream, _)) = accepted {
                        tasks.spawn(answer_tcp(stream, Arc::clone(&self.resolver)));
                    }
                }
                Some(_) = tasks.join_next() => {}
            }
        }
    }
}

async fn answer_udp(socket: Arc<UdpSocket>, resolver: Arc<Resolver>, question: Vec<u8>, client: SocketAddr) {
    if let Some(answer) = resolver.answer(&question).await {
        let _ = socket.send_to(&answer, client).await;
    }
}

async fn answer_tcp(mut stream: TcpStream, resolver: Arc<Resolver>) {
    // Each message has its length before it, in two bytes (RFC 1035, 4.2.2).
    while let Ok(Ok(len)) = tokio::time::timeout(TCP_IDLE, stream.read_u16()).await {
        let mut question = vec![0; usize::from(len)];
        // Who announces a question and does not send it holds one of few places.
        if !matches!(tokio::time::timeout(TCP_IDLE, stream.read_exact(&mut question)).await, Ok(Ok(_))) {
            return;
        }
        let Some(answer) = resolver.answer(&question).await else { return };
        let Ok(len) = u16::try_from(answer.len()) else { return };
        if stream.write_u16(len).await.is_err() || stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

impl Resolver {
    /// Answers one encoded question; `None` when it is not one, and nothing can be said.
    async fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let request = Message::from_vec(question).ok()?;
        if request.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut response = Message::response(request.metadata.id, request.metadata.op_code);
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.queries.clone_from(&request.queries);
        let [query] = request.queries.as_slice() else {
            response.metadata.response_code = ResponseCode::FormErr;
            return response.to_vec().ok();
        };
        if request.metadata.op_code != OpCode::Query {
            response.metadata.response_code = ResponseCode::NotImp;
            return response.to_vec().ok();
        }
        let answer = self.names.borrow().answer(&query.name.to_ascii(), query_type(query.query_type));
        match answer {
            Answer::NotOurs => {
                if let Some(answer) = self.ask_upstream(question).await {
                    return Some(answer);
                }
                // No resolver, or none that answers: the client may try again elsewhere.
                response.metadata.response_code = ResponseCode::ServFail;
            }
            Answer::NoSuchName => {
                response.metadata.authoritative = true;
                response.metadata.response_code = ResponseCode::NXDomain;
            }
            Answer::Alias(target) => {
                response.metadata.authoritative = true;
                response.answers = self.alias(query, &target).await;
            }
            Answer::Records(records) => {
                response.metadata.authoritative = true;
                response.answers = records.into_iter().filter_map(|r| wire(&query.name, r)).collect();
            }
        }
        response.to_vec().ok()
    }

    /// An alias and, where the cluster or the host's resolvers know them, the addresses behind it: a stub resolver does
    /// not ask again.
    async fn alias(&self, query: &Query, target: &str) -> Vec<WireRecord> {
        let Ok(target) = absolute(target) else { return Vec::new() };
        let alias = WireRecord::from_rdata(query.name.clone(), TTL_SECS, RData::CNAME(CNAME(target.clone())));
        let mut records = vec![alias];
        let known = self.names.borrow().answer(&target.to_ascii(), query_type(query.query_type));
        match known {
            Answer::Records(found) => {
                records.extend(found.into_iter().filter_map(|record| wire(&target, record)));
                return records;
            }
            Answer::Alias(_) | Answer::NoSuchName => return records,
            Answer::NotOurs => {}
        }
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(target, query.query_type));
        if let Ok(bytes) = question.to_vec()
            && let Some(answer) = self.ask_upstream(&bytes).await
            && let Ok(answer) = Message::from_vec(&answer)
        {
            records.extend(answer.answers);
        }
        records
    }

    /// Passes a question on as it is, to each resolver in turn.
    async fn ask_upstream(&self, question: &[u8]) -> Option<Vec<u8>> {
        for upstream in &self.upstreams {
            let attempt = async {
                let any: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
                let socket = UdpSocket::bind(any).await.ok()?;
                socket.connect(upstream).await.ok()?;
                socket.send(question).await.ok()?;
                let mut answer = vec![0; UDP_BYTES_MAX];
                let len = socket.recv(&mut answer).await.ok()?;
                answer.truncate(len);
                // An answer to another question is not ours (its ID are the first two bytes).
                (answer.get(..2) == question.get(..2)).then_some(answer)
            };
            if let Ok(Some(answer)) = tokio::time::timeout(UPSTREAM_TIMEOUT, attempt).await {
                return Some(answer);
            }
        }
        None
    }
}

fn query_type(record_type: RecordType) -> QueryType {
    match record_type {
        RecordType::A => QueryType::A,
        RecordType::SRV => QueryType::Srv,
        RecordType::PTR => QueryType::Ptr,
        _ => QueryType::Other,
    }
}

fn wire(name: &Name, record: Record) -> Option<WireRecord> {
    let data = match record {
        Record::A(ip) => RData::A(A(ip)),
        // Priority 0 and equal weights: any target is as good (DNS specification of Kubernetes, 2.3).
        Record::Srv { port, target } => RData::SRV(SRV::new(0, 100, port, absolute(&target).ok()?)),
        Record::Name(target) => RData::PTR(PTR(absolute(&target).ok()?)),
    };
    Some(WireRecord::from_rdata(name.clone(), TTL_SECS, data))
}

fn absolute(name: &str) -> Result<Name, hickory_proto::ProtoError> {
    let mut name = Name::from_ascii(name)?;
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use km_api::Object;
    use km_api::lister::Lister;

    use super::*;

    fn resolver(upstreams: Vec<SocketAddr>) -> Resolver {
        let mut services = Lister::default();
        for json in [
            r#"{"metadata":{"name":"web","namespace":"default"},"spec":{"clusterIP":"10.96.0.7"}}"#,
            r#"{"metadata":{"name":"alias","namespace":"default"},
                "spec":{"type":"ExternalName","externalName":"web.default.svc.cluster.local"}}"#,
        ] {
            let object = Object::parse(json.as_bytes()).unwrap();
            services.upsert(object.shared_meta(), Arc::new(object.decode().unwrap()));
        }
        let names = Names::new("cluster.local", &services, &Lister::default());
        Resolver { names: watch::channel(Arc::new(names)).1, upstreams }
    }

    async fn ask(resolver: &Resolver, name: &str) -> Message {
        let mut question = Message::query();
        question.add_query(Query::query(absolute(name).unwrap(), RecordType::A));
        Message::from_vec(&resolver.answer(&question.to_vec().unwrap()).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn cluster_names_are_answered_and_others_need_a_resolver() {
        let alone = resolver(vec![]);
        let web = ask(&alone, "web.default.svc.cluster.local").await;
        assert_eq!(web.answers[0].data.to_string(), "10.96.0.7");
        assert_eq!(ask(&alone, "x.default.svc.cluster.local").await.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(ask(&alone, "example.org").await.metadata.response_code, ResponseCode::ServFail);
    }

    #[tokio::test]
    async fn an_alias_of_a_cluster_name_brings_its_address() {
        let answer = ask(&resolver(vec![]), "alias.default.svc.cluster.local").await;
        let data: Vec<_> = answer.answers.iter().map(|record| record.data.to_string()).collect();
        assert_eq!(data, ["web.default.svc.cluster.local.", "10.96.0.7"]);
    }

    #[tokio::test]
    async fn foreign_names_come_from_the_hosts_resolver() {
        let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let asking = resolver(vec![upstream.local_addr().unwrap()]);
        let serve = async {
            let mut buffer = [0; 512];
            let (len, client) = upstream.recv_from(&mut buffer).await.unwrap();
            let request = Message::from_vec(&buffer[..len]).unwrap();
            let mut response = Message::response(request.metadata.id, OpCode::Query);
            response.queries.clone_from(&request.queries);
            response.answers =
                vec![WireRecord::from_rdata(request.queries[0].name.clone(), 1, RData::A(A::new(9, 9, 9, 9)))];
            upstream.send_to(&response.to_vec().unwrap(), client).await.unwrap();
        };
        let (answer, ()) = tokio::join!(ask(&asking, "example.org"), serve);
        assert_eq!(answer.answers[0].data.to_string(), "9.9.9.9");
    }

    #[tokio::test]
    async fn bytes_that_are_no_question_are_not_answered() {
        assert!(resolver(vec![]).answer(b"x").await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_send_its_question_is_hung_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.write_all(&[0, 40, 1]).await.unwrap();
        let answered = answer_tcp(server, Arc::new(resolver(vec![])));
        tokio::time::timeout(TCP_IDLE * 3, answered).await.unwrap();
    }
}
