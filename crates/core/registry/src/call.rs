//! What goes into a decision and what comes out: the crate's contract with the API server's driver.

use std::net::Ipv4Addr;

use bytes::Bytes;
use km_api::{Identity, Request, Response};
use km_base::{Revision, Timestamp, Uid};
use serde_json::Value;

/// One request, with everything that a decision may depend on besides the view.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What is asked.
    pub request: &'a Request,
    /// Who asks.
    pub identity: &'a Identity,
    /// When.
    pub now: Timestamp,
    /// The revision that a commit of this decision will get.
    pub revision: Revision,
    /// Fresh random bytes of this request.
    pub entropy: &'a Entropy,
    /// The cluster's settings.
    pub config: &'a Config,
}

/// Random bytes of one request, from which UIDs, name suffixes and starting points of searches are made.
#[derive(Clone, Debug)]
pub struct Entropy(pub [u8; 32]);

impl Entropy {
    /// Returns a version 4 UUID.
    #[must_use]
    pub fn uid(&self) -> Uid {
        let mut b = [0u8; 16];
        b.copy_from_slice(&self.0[..16]);
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        let hex: Vec<String> = b.iter().map(|x| format!("{x:02x}")).collect();
        let part = |r: std::ops::Range<usize>| hex[r].concat();
        Uid(format!("{}-{}-{}-{}-{}", part(0..4), part(4..6), part(6..8), part(8..10), part(10..16)))
    }

    /// Returns the `salt`-th number of this request.
    #[must_use]
    pub fn number(&self, salt: u64) -> u64 {
        let mut b = [0u8; 8];
        b.copy_from_slice(&self.0[16..24]);
        // splitmix64: every salt gives an unrelated number.
        let mut z = u64::from_le_bytes(b).wrapping_add(salt.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns the five characters that the server adds to a `generateName`.
    #[must_use]
    pub fn suffix(&self, salt: u64) -> String {
        // k8s 1.37 apimachinery util/rand: no vowels, so that no word is spelled.
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut n = self.number(salt);
        let mut text = String::with_capacity(5);
        for _ in 0..5 {
            let at = usize::try_from(n % ALPHABET.len() as u64).unwrap_or(0);
            text.push(char::from(ALPHABET[at]));
            n /= ALPHABET.len() as u64;
        }
        text
    }
}

/// The range of Service IPs, e.g. `10.96.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCidr {
    /// Network address.
    pub network: Ipv4Addr,
    /// Length of the prefix, 8 to 30.
    pub prefix_len: u8,
}

impl ServiceCidr {
    /// Returns the number of addresses, network and broadcast addresses included.
    #[must_use]
    pub fn size(self) -> u32 {
        1u32 << (32 - u32::from(self.prefix_len.clamp(8, 30)))
    }

    /// Returns the `offset`-th address.
    #[must_use]
    pub fn address(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network).wrapping_add(offset))
    }

    /// Tells whether `address` can be a Service's: in the range, neither its first nor its last address.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).wrapping_sub(u32::from(self.network));
        offset > 0 && offset < self.size() - 1
    }
}

impl std::fmt::Display for ServiceCidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_len)
    }
}

/// An inclusive range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

/// The cluster's settings that decisions depend on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Range of Service IPs; the first is the `kubernetes` Service's, the tenth `kube-dns`'s.
    pub service_cidr: ServiceCidr,
    /// Range of NodePorts.
    pub node_ports: PortRange,
    /// Port on which the API server listens behind the `kubernetes` Service's port 443.
    pub api_server_port: u16,
    /// Whether containers that ask for nothing get 0.25 cpu and 64Mi, and limits and requests complete each other.
    pub default_resources: bool,
    /// Audiences of tokens whose request names none, e.g. `https://kubernetes.default.svc.cluster.local`.
    pub api_audiences: Vec<String>,
}

/// What is to be done about a request.
#[derive(Debug)]
pub enum Decision {
    /// Write, then answer.
    Commit(Commit),
    /// Answer; nothing changes.
    Answer {
        /// The answer.
        response: Response,
        /// Texts for `Warning` headers.
        warnings: Vec<String>,
    },
    /// The driver must find something out, then call [`crate::resume`].
    Ask(Question),
}

/// Keys to write at one revision, and the answer to give once they are durable.
#[derive(Debug)]
pub struct Commit {
    /// The writes; never empty.
    pub writes: Vec<Write>,
    /// The answer.
    pub response: Response,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

/// One key to write.
#[derive(Clone, Debug)]
pub struct Write {
    /// Key, as [`crate::key`] makes it.
    pub key: String,
    /// The new value; `None` deletes the key. Watchers of a deletion see the last value with the commit's
    /// revision, see [`crate::at_revision`].
    pub value: Option<Bytes>,
    /// How durable the write must be before the answer.
    pub durability: Durability,
}

/// How durable a write must be before the request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On disk.
    Synced,
    /// In memory; up to a second may be lost. Only events and leases.
    Relaxed,
}

/// What only the driver can find out.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one question at a time, moved twice")]
pub enum Question {
    /// Sign a service account token.
    SignToken {
        /// What the token says.
        claims: TokenClaims,
        /// The TokenRequest that becomes the answer.
        review: Value,
    },
    /// Authenticate a token.
    ReviewToken {
        /// The token.
        token: String,
        /// Audiences that the token must be for one of; empty means the API server's own.
        audiences: Vec<String>,
        /// The TokenReview that becomes the answer.
        review: Value,
    },
}

/// What a service account token says about its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// Namespace of the service account.
    pub namespace: String,
    /// Name of the service account.
    pub service_account: String,
    /// UID of the service account.
    pub service_account_uid: Uid,
    /// Name and UID of the pod that the token is bound to.
    pub pod: Option<(String, Uid)>,
    /// Name and UID of the node that this pod runs on.
    pub node: Option<(String, Uid)>,
    /// Name and UID of the secret that the token is bound to.
    pub secret: Option<(String, Uid)>,
    /// Whom the token is for.
    pub audiences: Vec<String>,
    /// Start of its validity.
    pub issued: Timestamp,
    /// End of its validity.
    pub expires: Timestamp,
}

/// The driver's answer to a [`Question`].
#[derive(Clone, Debug)]
pub enum Reply {
    /// The signed token.
    Token(String),
    /// Whose token it is, and for which of the audiences.
    Authenticated {
        /// The bearer.
        identity: Identity,
        /// Audiences that match.
        audiences: Vec<String>,
    },
    /// The token is not valid, and why.
    Unauthenticated(String),
}
