//! Runs tests one after the other, below a parent that inherits and reaps every orphan.
//!
//! Containers, their shims and a detached `km up` outlive whoever started them; a child subreaper (prctl(2)) makes
//! them children of this suite instead of process 1's, so that "nothing is left" can be seen, whatever else the
//! machine runs.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use std::time::Instant;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, WaitOptions, getpid, getppid, set_child_subreaper, wait};

use crate::footprint::Footprint;
use crate::process::descendants;

/// Held while tests run.
const LOCK: &str = "/tmp/km-e2e.lock";

/// Set for the process that runs the tests.
const INNER: &str = "KM_E2E_INNER";

/// One test.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// Its name, for filters and reports.
    pub name: &'static str,
    /// What it does.
    pub run: fn() -> anyhow::Result<()>,
}

/// The tests of one program, in the order in which they run.
#[derive(Debug)]
pub struct Suite {
    /// They.
    pub tests: Vec<Test>,
}

impl Suite {
    /// Runs the tests whose names contain one of the program's arguments, or all; flags are for the usual harness
    /// and mean nothing here.
    #[must_use]
    pub fn main(self) -> ExitCode {
        if std::env::var_os(INNER).is_some() { self.run() } else { inherit_orphans() }
    }

    fn run(self) -> ExitCode {
        let _alone = match alone() {
            Ok(lock) => lock,
            Err(error) => {
                eprintln!("km-e2e: failed to lock {LOCK}: {error}");
                return ExitCode::FAILURE;
            }
        };
        let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
        let chosen = |test: &&Test| wanted.is_empty() || wanted.iter().any(|part| test.name.contains(part.as_str()));
        let mut failed = Vec::new();
        for test in self.tests.iter().filter(chosen) {
            println!("test {} …", test.name);
            let start = Instant::now();
            let result = run_one(test);
            let seconds = start.elapsed().as_secs_f64();
            match result {
                Ok(()) => println!("test {} ok ({seconds:.1} s)\n", test.name),
                Err(error) => {
                    println!("test {} FAILED ({seconds:.1} s): {error:#}\n", test.name);
                    failed.push(test.name);
                }
            }
        }
        if failed.is_empty() {
            return ExitCode::SUCCESS;
        }
        println!("failed: {}", failed.join(", "));
        ExitCode::FAILURE
    }
}

/// The process below which everything hangs that a test started.
pub(crate) fn root() -> i32 {
    getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
}

/// The processes that are the suite's own.
pub(crate) fn own() -> [i32; 1] {
    [getpid().as_raw_nonzero().get()]
}

/// Waits until no other run of these tests is on this machine: each would take the other's things for left behind.
fn alone() -> std::io::Result<File> {
    let lock = File::create(LOCK)?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        println!("waiting for another run of these tests to end ({LOCK})");
        flock(&lock, FlockOperation::LockExclusive)?;
    }
    Ok(lock)
}

fn run_one(test: &Test) -> anyhow::Result<()> {
    let before = Footprint::look(root(), &own());
    let result = match catch_unwind(AssertUnwindSafe(test.run)) {
        Ok(result) => result,
        // The panic's message has been printed.
        Err(_) => Err(anyhow::anyhow!("panicked")),
    };
    let left = Footprint::look(root(), &own()).since(&before);
    descendants(root())
        .iter()
        .filter(|process| !own().contains(&process.pid))
        .for_each(|process| process.signal(Signal::KILL));
    match (result, left.is_empty()) {
        (Ok(()), false) => Err(anyhow::anyhow!("left behind:\n  {}", left.join("\n  "))),
        (Err(error), false) => Err(error.context(format!("(and left behind: {})", left.join("; ")))),
        (result, true) => result,
    }
}

fn inherit_orphans() -> ExitCode {
    if let Err(error) = set_child_subreaper(Some(getpid())) {
        eprintln!("km-e2e: failed to become the one that inherits orphans: {error}");
        return ExitCode::FAILURE;
    }
    let this = match std::env::current_exe() {
        Ok(this) => this,
        Err(error) => {
            eprintln!("km-e2e: failed to find this program: {error}");
            return ExitCode::FAILURE;
        }
    };
    let child = match Command::new(this).args(std::env::args_os().skip(1)).env(INNER, "1").spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("km-e2e: failed to start the tests: {error}");
            return ExitCode::FAILURE;
        }
    };
    let tests = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == tests => {
                return if status.exit_status() == Some(0) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            }
            // An orphan: reaped, and that was all.
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                eprintln!("km-e2e: failed to wait for the tests: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
}
