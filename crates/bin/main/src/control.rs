//! One `km up` per data folder, and how other commands speak to it.
//!
//! The lock says who runs; it ends with the process, however that ends. The control socket takes one order a
//! connection, a word and a newline, and answers with lines; the last is `ok` or `error: …`.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::layout::Layout;

/// What the kernel gets to take a killed process apart.
const DYING: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Holds a data folder for this process.
pub(crate) struct Lock {
    _file: File,
}

/// An order to the running `km up`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Stop every pod and end.
    Down,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        (word == "down").then_some(Self::Down)
    }
}

/// Takes the folder, or says who has it.
pub(crate) fn lock(layout: &Layout) -> anyhow::Result<Lock> {
    let mut file = open(layout)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        bail!("km is running already in {} (pid {})", layout.root().display(), pid.trim());
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .with_context(|| format!("failed to write {}", layout.lock().display()))?;
    Ok(Lock { _file: file })
}

/// Returns the pid of the `km up` that has the folder, if one has.
///
/// One that was just killed holds its lock until the kernel has taken it apart; that is waited for.
pub(crate) fn running(layout: &Layout) -> anyhow::Result<Option<u32>> {
    if !layout.lock().exists() {
        return Ok(None);
    }
    let deadline = Instant::now() + DYING;
    loop {
        let mut file = open(layout)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(None);
        }
        let mut pid = String::new();
        file.read_to_string(&mut pid).context("failed to read the lock")?;
        let pid: Option<u32> = pid.trim().parse().ok();
        if pid.is_none_or(lives) || Instant::now() >= deadline {
            return Ok(pid);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Tells whether a process is there and not about to end (`proc_pid_stat(5)`: its state is the first field after
/// the name in parentheses).
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
    state.is_some_and(|state| !"ZXx".contains(state))
}

fn open(layout: &Layout) -> anyhow::Result<File> {
    let path = layout.lock();
    let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    open.with_context(|| format!("failed to open {}", path.display()))
}

/// The socket on which orders come in.
pub(crate) struct Orders {
    listener: UnixListener,
}

/// An order that waits for its answer.
pub(crate) struct Pending {
    /// What is to be done.
    pub(crate) order: Order,
    stream: UnixStream,
}

impl Orders {
    /// Listens; only root may speak.
    pub(crate) fn listen(layout: &Layout) -> anyhow::Result<Self> {
        let path = layout.control();
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("failed to remove {}", path.display())),
        }
        let listener = UnixListener::bind(&path).with_context(|| format!("failed to listen on {}", path.display()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .with_context(|| format!("failed to protect {}", path.display()))?;
        Ok(Self { listener })
    }

    /// Waits for the next order that can be understood. Cancel safe: an order that was half read is asked again.
    pub(crate) async fn next(&self) -> anyhow::Result<Pending> {
        loop {
            let (mut stream, _) = self.listener.accept().await.context("failed to accept an order")?;
            let mut word = String::new();
            if BufReader::new(&mut stream).read_line(&mut word).await.is_err() {
                continue;
            }
            match Order::parse(word.trim()) {
                Some(order) => return Ok(Pending { order, stream }),
                None => drop(stream.write_all(b"error: unknown order\n").await),
            }
        }
    }
}

impl Pending {
    /// Answers how it went.
    pub(crate) async fn answer(mut self, outcome: anyhow::Result<()>) {
        let line = match outcome {
            Ok(()) => "ok\n".to_owned(),
            Err(error) => format!("error: {}\n", format!("{error:#}").replace('\n', " ")),
        };
        // Whoever asked may have gone.
        let _ = self.stream.write_all(line.as_bytes()).await;
    }
}

/// Gives an order to the running `km up` and waits until it is carried out.
pub(crate) async fn give(layout: &Layout, order: Order) -> anyhow::Result<()> {
    let path = layout.control();
    let mut stream =
        UnixStream::connect(&path).await.with_context(|| format!("failed to connect to {}", path.display()))?;
    stream.write_all(format!("{}\n", order.word()).as_bytes()).await.context("failed to give the order")?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await.context("km broke off before it had answered")? {
        match line.strip_prefix("error: ") {
            Some(error) => bail!("{error}"),
            None if line == "ok" => return Ok(()),
            None => {}
        }
    }
    bail!("km ended before it had answered")
}
