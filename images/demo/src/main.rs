//! The demo image's one program: an HTTP server that says who it is, and small commands for an image without a shell.
//!
//! Static, so that the image holds nothing else. Build:
//! `RUSTFLAGS="-C target-feature=+crt-static" cargo build -p km-demo --release --target x86_64-unknown-linux-gnu`
//! with a target folder of its own (the flags differ from everything else's).
//!
//! Names are resolved by asking the servers in /etc/resolv.conf (see [`dns`]), because the C library's resolver needs
//! its shared objects at run time. Not meant for the internet: no TLS, small limits, one thread a connection.

mod dns;
mod http;
mod signal;

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const USAGE: &str = "usage: demo [serve] | echo ARG... | cat FILE... | env | sleep SECONDS | exit CODE | get URL | \
                     lookup NAME | alloc MIB | tick | spin";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("serve", &[][..]),
    };
    let done = match command {
        "serve" => serve(),
        "echo" => writeln!(io::stdout(), "{}", rest.join(" ")),
        "cat" => rest.iter().try_for_each(|path| io::stdout().write_all(&std::fs::read(path)?)),
        "env" => print_environment(),
        "sleep" => number(rest).and_then(sleep),
        "exit" => return exit(rest),
        "get" => argument(rest).and_then(|url| http::get(url)).and_then(|body| io::stdout().write_all(&body)),
        "lookup" => argument(rest)
            .and_then(|name| dns::lookup(name))
            .and_then(|found| found.iter().try_for_each(|address| writeln!(io::stdout(), "{address}"))),
        "alloc" => number(rest).and_then(allocate),
        "tick" => tick(),
        "spin" => spin(),
        _ => Err(io::Error::other(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo {command}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn argument(rest: &[String]) -> io::Result<&String> {
    rest.first().ok_or_else(|| io::Error::other(USAGE))
}

fn number(rest: &[String]) -> io::Result<u64> {
    argument(rest)?.parse().map_err(io::Error::other)
}

fn exit(rest: &[String]) -> ExitCode {
    match number(rest).ok().and_then(|code| u8::try_from(code).ok()) {
        Some(code) => ExitCode::from(code),
        None => {
            eprintln!("demo exit: want a code from 0 to 255");
            ExitCode::FAILURE
        }
    }
}

/// Serves until SIGTERM or SIGINT; the container then ends with 0.
fn serve() -> io::Result<()> {
    signal::block()?;
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = std::net::TcpListener::bind(("0.0.0.0", port))?;
    println!("serving on port {port}");
    thread::spawn(move || http::accept(&listener));
    let name = signal::wait()?;
    println!("got {name}, bye");
    Ok(())
}

fn print_environment() -> io::Result<()> {
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    variables.iter().try_for_each(|(name, value)| writeln!(io::stdout(), "{name}={value}"))
}

/// Sleeps, or ends early with success on SIGTERM: process 1 of a container has no default action to rely on.
fn sleep(seconds: u64) -> io::Result<()> {
    signal::exit_when_told()?;
    thread::sleep(Duration::from_secs(seconds));
    Ok(())
}

/// Takes memory and touches every page, says so, and keeps it.
fn allocate(mebibytes: u64) -> io::Result<()> {
    signal::exit_when_told()?;
    let mut held = Vec::new();
    for taken in 1..=mebibytes {
        held.push(vec![1_u8; 1 << 20]);
        println!("{taken} MiB");
    }
    loop {
        thread::park();
        // Reached only on a spurious wake-up; keeps `held` alive.
        std::hint::black_box(&held);
    }
}

fn tick() -> io::Result<()> {
    signal::exit_when_told()?;
    for number in 0_u64.. {
        writeln!(io::stdout(), "tick {number}")?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn spin() -> io::Result<()> {
    signal::exit_when_told()?;
    loop {
        std::hint::spin_loop();
    }
}
