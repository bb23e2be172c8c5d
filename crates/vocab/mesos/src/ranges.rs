//! Sets of whole numbers kept as ranges: ports, above all.
//!
//! Always normalised: sorted, disjoint, and no two ranges touch, so equality of sets is equality of values.

use crate::value;

/// A set of `u64`, as inclusive ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RangeSet(Vec<(u64, u64)>);

impl RangeSet {
    /// Returns the set of nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the set of `begin..=end`; empty if `end < begin`.
    pub fn from_range(begin: u64, end: u64) -> Self {
        if end < begin { Self::new() } else { Self(vec![(begin, end)]) }
    }

    /// Reads a message; ranges may overlap or come in any order.
    pub fn from_message(ranges: &value::Ranges) -> Self {
        Self::normalised(ranges.range.iter().map(|range| (range.begin, range.end)).collect())
    }

    /// Writes a message.
    pub fn to_message(&self) -> value::Ranges {
        value::Ranges { range: self.0.iter().map(|(begin, end)| value::Range { begin: *begin, end: *end }).collect() }
    }

    /// Tells whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts the numbers in the set.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(begin, end)| end - begin + 1).sum()
    }

    /// Tells whether `number` is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|(begin, _)| *begin <= number);
        after > 0 && number <= self.0[after - 1].1
    }

    /// Tells whether all of `other` is in the set.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.0.iter().all(|(begin, end)| {
            let after = self.0.partition_point(|(own, _)| own <= begin);
            after > 0 && *end <= self.0[after - 1].1
        })
    }

    /// Puts all of `other` into the set.
    pub fn add(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut self.0);
        all.extend_from_slice(&other.0);
        *self = Self::normalised(all);
    }

    /// Takes all of `other` out of the set; what is not in it is passed over.
    pub fn subtract(&mut self, other: &Self) {
        for (cut_begin, cut_end) in &other.0 {
            let mut left = Vec::with_capacity(self.0.len() + 1);
            for (begin, end) in &self.0 {
                if end < cut_begin || cut_end < begin {
                    left.push((*begin, *end));
                    continue;
                }
                if begin < cut_begin {
                    left.push((*begin, cut_begin - 1));
                }
                if cut_end < end {
                    left.push((cut_end + 1, *end));
                }
            }
            self.0 = left;
        }
    }

    /// Takes the `count` lowest numbers out; `None`, and nothing is taken, when there are fewer.
    pub fn take_lowest(&mut self, count: u64) -> Option<Self> {
        if self.count() < count {
            return None;
        }
        let mut taken = Vec::new();
        let mut missing = count;
        for (begin, end) in &self.0 {
            if missing == 0 {
                break;
            }
            let take = missing.min(end - begin + 1);
            taken.push((*begin, begin + take - 1));
            missing -= take;
        }
        let taken = Self(taken);
        self.subtract(&taken);
        Some(taken)
    }

    /// Yields the inclusive ranges, lowest first.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Yields every number, lowest first.
    pub fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|(begin, end)| *begin..=*end)
    }

    fn normalised(mut ranges: Vec<(u64, u64)>) -> Self {
        ranges.retain(|(begin, end)| begin <= end);
        ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (begin, end) in ranges {
            match merged.last_mut() {
                Some(last) if begin <= last.1.saturating_add(1) => last.1 = last.1.max(end),
                _ => merged.push((begin, end)),
            }
        }
        Self(merged)
    }
}
