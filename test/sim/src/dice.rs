//! The one source of chance: every choice of a run is drawn from here, in order, so a seed replays.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to `sides - 1`.
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.next() % sides.max(1) as u64).unwrap_or(0)
    }

    /// Tells whether something that happens in `permille` of 1,000 cases happens.
    pub(crate) fn chance(&mut self, permille: usize) -> bool {
        self.below(1_000) < permille
    }

    /// Returns a duration between two numbers of milliseconds, in microseconds.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        let span = (to.saturating_sub(from)).max(1) * 1_000;
        Duration::from_micros(from * 1_000 + self.next() % span)
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }

    /// Shuffles `items`; those of one `class` keep their order among themselves.
    pub(crate) fn shuffle<T>(&mut self, items: Vec<T>, class: impl Fn(&T) -> Option<u8>) -> Vec<T> {
        let mut places: Vec<usize> = (0..items.len()).collect();
        for last in (1..places.len()).rev() {
            places.swap(last, self.below(last + 1));
        }
        let classes: Vec<Option<u8>> = items.iter().map(class).collect();
        let mut ordered: Vec<u8> = classes.iter().flatten().copied().collect();
        ordered.sort_unstable();
        ordered.dedup();
        for class in ordered {
            let at: Vec<usize> = (0..places.len()).filter(|at| classes[places[*at]] == Some(class)).collect();
            let mut members: Vec<usize> = at.iter().map(|at| places[*at]).collect();
            members.sort_unstable();
            for (at, member) in at.into_iter().zip(members) {
                places[at] = member;
            }
        }
        let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
        places.into_iter().filter_map(|place| items[place].take()).collect()
    }
}
