//! Scenarios: transcripts that an operator could have typed, played on a cluster.
//!
//! ```text
//! # A comment.
//! ## Pods                                     a section: a failure ends it, and the next one starts afresh
//! $ kubectl create namespace shop             a command, run by bash; the lines below are what it prints
//! namespace/shop created
//!
//! $ cat > pod.yaml <<'END'                    a longer command goes on after `> `
//! > kind: Pod
//! > END
//!
//! eventually 30s $ kubectl get pod a          looked at until it prints this, or the time is over
//! NAME READY STATUS  RESTARTS AGE             any number of blanks matches any number of blanks
//! a    1/1   Running 0        [..]            [..] is anything in a line
//! ...                                         any number of lines
//!
//! $ kubectl get pod a -o jsonpath={.metadata.uid}
//! {{uid}}                                     a word to remember; {{uid}} later, here or in a command, is that word
//!
//! $ kubectl get pod nobody
//! ? 1                                         the exit code, when it is not 0
//! Error from server (NotFound): pods "nobody" not found
//! ```
//!
//! Each command runs with one kubectl version after the other in turn; a line `## Title (all clients)` plays its
//! section once with each.

mod matching;
mod parse;
mod play;

pub use matching::{Captures, compare};
pub use parse::{ParseError, Scenario, Section, Step, parse};
pub use play::play;
