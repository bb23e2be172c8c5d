//! The tests of the whole: scenarios on both Mesoses, the lifecycle of `km up`, and chaos.

mod scenarios;

use std::process::ExitCode;

use km_e2e::{Suite, Test};

fn main() -> ExitCode {
    let mut tests: Vec<Test> = Vec::new();
    tests.extend(scenarios::TESTS);
    Suite { tests }.main()
}
