//! What happened, as text: a hash over all of it, and the end of it for a failure's report.

use std::collections::VecDeque;

use km_base::Timestamp;

/// Lines kept, unless the whole run is to be printed.
const TAIL_MAX: usize = 150;

#[derive(Debug)]
pub(crate) struct Trace {
    tail: VecDeque<String>,
    hash: u64,
    lines: u64,
    /// Print every line as it comes: `KM_SIM_TRACE=1`.
    loud: bool,
}

impl Trace {
    pub(crate) fn new(loud: bool) -> Self {
        // FNV-1a: names a trace; not a defence against anyone.
        Self { tail: VecDeque::new(), hash: 0xcbf2_9ce4_8422_2325, lines: 0, loud }
    }

    pub(crate) fn line(&mut self, now: Timestamp, text: &str) {
        let line = format!("{:>12.6} {text}", (now.as_micros() - crate::world::START.as_micros()) as f64 / 1e6);
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if self.loud {
            println!("{line}");
        }
        if self.tail.len() == TAIL_MAX {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    pub(crate) fn tail(&self) -> String {
        self.tail.iter().map(|line| format!("{line}\n")).collect()
    }
}
