//! UUIDs without a random source: a seed from the driver, then a counter through a mixing function.
//!
//! They name containers and status updates. Uniqueness is wanted, secrecy is not: tokens and stream ids are the drivers'.

use bytes::Bytes;

/// Makes a sequence of UUIDs (version 4 form) that differs for every seed.
#[derive(Clone, Debug)]
pub struct Uuids {
    seed: u128,
    count: u64,
}

impl Uuids {
    /// Starts a sequence; the seed must differ at every start of the process.
    pub const fn new(seed: u128) -> Self {
        Self { seed, count: 0 }
    }

    /// Returns the next UUID as its 16 bytes, the form in `TaskStatus.uuid`.
    pub fn next_bytes(&mut self) -> Bytes {
        Bytes::copy_from_slice(&self.next())
    }

    /// Returns the next UUID as text, the form of a container id.
    pub fn next_text(&mut self) -> String {
        let hex: String = self.next().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    fn next(&mut self) -> [u8; 16] {
        self.count += 1;
        let [high, low] = [self.seed >> 64, self.seed & u128::from(u64::MAX)];
        // splitmix64's finaliser: a bijection, so two counts never meet within one seed.
        let mix = |half: u128, salt: u64| {
            let mut word =
                (half as u64).wrapping_add(self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(salt);
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&mix(high, 1).to_be_bytes());
        bytes[8..].copy_from_slice(&mix(low, 2).to_be_bytes());
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_differ_within_and_between_seeds() {
        let (mut one, mut two) = (Uuids::new(1), Uuids::new(1 << 64));
        let mut all: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            all.insert(one.next_text());
            all.insert(two.next_text());
        }
        assert_eq!(all.len(), 2_000);
        let first = all.first().expect("some");
        assert_eq!((first.len(), &first[14..15]), (36, "4"));
    }
}
