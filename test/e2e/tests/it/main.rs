//! The tests of the whole: scenarios on both Mesoses, the lifecycle of `km up`, faults of what it stands on, and chaos.

mod chaos;
mod existing_runtime;
mod faults;
mod lifecycle;
mod running;
mod scenarios;

use std::process::ExitCode;

use km_e2e::{Suite, Test};

fn main() -> ExitCode {
    let mut tests: Vec<Test> = Vec::new();
    tests.extend(lifecycle::TESTS);
    tests.extend(existing_runtime::TESTS);
    tests.extend(faults::TESTS);
    tests.extend(chaos::TESTS);
    tests.extend(scenarios::TESTS);
    Suite { tests }.main()
}
