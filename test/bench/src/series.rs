//! A series of durations and its percentiles.

use std::time::Duration;

/// Durations of one kind of thing.
#[derive(Debug, Default)]
pub(crate) struct Series(Vec<Duration>);

impl Series {
    /// Adds one.
    pub(crate) fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// Returns `name count p50 p99 min max`, tab-separated, times in whole milliseconds; `-` where there is nothing.
    pub(crate) fn line(mut self, name: &str) -> String {
        self.0.sort();
        let cells = [self.rank(50), self.rank(99), self.rank(0), self.rank(100)].map(|duration| match duration {
            Some(duration) => duration.as_millis().to_string(),
            None => "-".to_owned(),
        });
        format!("{name}\t{}\t{}", self.0.len(), cells.join("\t"))
    }

    /// The nearest-rank percentile of the sorted series.
    fn rank(&self, percent: usize) -> Option<Duration> {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_members_of_the_series() {
        let mut series = Series::default();
        (1..=100).rev().for_each(|ms| series.push(Duration::from_millis(ms)));
        assert_eq!(series.line("a"), "a\t100\t50\t99\t1\t100");
        assert_eq!(Series::default().line("b"), "b\t0\t-\t-\t-\t-");
    }
}
