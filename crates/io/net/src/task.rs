//! Named tasks that all end together, and the token that tells them to.
//!
//! A driver makes one `TaskSet`, spawns only through it, and awaits `finish` before it returns. Ending has two
//! stages: the token asks, and what has not ended after the grace period is dropped where it stands.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

/// Asks everything that holds a clone to end. Beginning it again changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Makes one that nobody has begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to end.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Returns whether everyone has been asked.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until everyone is asked; cancel-safe.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }

    /// Makes one that begins with this one, but can begin earlier by itself.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}

/// What went wrong with a set of tasks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// A task panicked; the set began its shutdown.
    #[error("task {name} panicked: {message}")]
    Panicked {
        /// The task.
        name: String,
        /// What it said.
        message: String,
    },
    /// Tasks were dropped because they did not end in time.
    #[error("tasks did not end in time and were dropped: {}", names.join(", "))]
    Dropped {
        /// Their names.
        names: Vec<String>,
    },
}

/// A set of named tasks with one shutdown. Clones are the same set.
#[derive(Clone, Debug)]
pub struct TaskSet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shutdown: Shutdown,
    /// The second stage.
    drop_now: CancellationToken,
    tracker: TaskTracker,
    next_id: AtomicU64,
    alive: Mutex<BTreeMap<u64, Cow<'static, str>>>,
    panicked: Mutex<Option<TaskError>>,
}

impl TaskSet {
    /// Makes an empty set that ends with `shutdown`.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self(Arc::new(Inner {
            shutdown,
            drop_now: CancellationToken::new(),
            tracker: TaskTracker::new(),
            next_id: AtomicU64::new(0),
            alive: Mutex::default(),
            panicked: Mutex::default(),
        }))
    }

    /// Returns the token that its tasks should watch.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.0.shutdown.clone()
    }

    /// Returns how many tasks are running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.tracker.len()
    }

    /// Returns whether no task is running.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.tracker.is_empty()
    }

    /// Starts a task. It should end when [`TaskSet::shutdown`] begins. If it panics, that is logged, the
    /// whole set's shutdown begins, and [`TaskSet::finish`] reports it.
    pub fn spawn(&self, name: impl Into<Cow<'static, str>>, future: impl Future<Output = ()> + Send + 'static) {
        let inner = Arc::clone(&self.0);
        self.start(name.into(), future, move |name, message| inner.report(name, message));
    }

    /// Starts a task that serves one caller, such as a connection: a panic in it is logged, and the
    /// rest of the set goes on.
    pub fn spawn_contained(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        self.start(name.into(), future, |name, message| error!(task = %name, %message, "task panicked"));
    }

    fn start(
        &self,
        name: Cow<'static, str>,
        future: impl Future<Output = ()> + Send + 'static,
        on_panic: impl FnOnce(Cow<'static, str>, String) + Send + 'static,
    ) {
        let inner = Arc::clone(&self.0);
        let id = inner.next_id.fetch_add(1, Ordering::Relaxed);
        locked(&inner.alive).insert(id, name);
        let tracker = inner.tracker.clone();
        tracker.spawn(async move {
            let outcome = inner.drop_now.run_until_cancelled(AssertUnwindSafe(future).catch_unwind()).await;
            let name = locked(&inner.alive).remove(&id).unwrap_or_default();
            if let Some(Err(payload)) = outcome {
                on_panic(name, message(&*payload));
            }
        });
    }

    /// Waits until shutdown has begun, then until all tasks have ended, at most `grace` longer.
    ///
    /// # Errors
    /// `Panicked` for the first task of [`TaskSet::spawn`] that panicked, else `Dropped` naming those
    /// that did not end by themselves.
    pub async fn finish(&self, grace: Duration) -> Result<(), TaskError> {
        let inner = &self.0;
        inner.shutdown.begun().await;
        inner.tracker.close();
        let dropped = match tokio::time::timeout(grace, inner.tracker.wait()).await {
            Ok(()) => Vec::new(),
            Err(_) => self.drop_rest().await,
        };
        if let Some(panicked) = locked(&inner.panicked).clone() {
            return Err(panicked);
        }
        if dropped.is_empty() { Ok(()) } else { Err(TaskError::Dropped { names: dropped }) }
    }

    async fn drop_rest(&self) -> Vec<String> {
        let names: Vec<_> = locked(&self.0.alive).values().map(ToString::to_string).collect();
        warn!(tasks = names.join(", "), "dropping tasks that did not end in time");
        self.0.drop_now.cancel();
        self.0.tracker.wait().await;
        names
    }
}

impl Inner {
    fn report(&self, name: Cow<'static, str>, message: String) {
        error!(task = %name, %message, "task panicked, shutting down");
        locked(&self.panicked).get_or_insert(TaskError::Panicked { name: name.into_owned(), message });
        self.shutdown.begin();
    }
}

/// The maps stay whole whatever panicked beside them.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
