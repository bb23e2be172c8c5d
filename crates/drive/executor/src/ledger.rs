//! What Mesos has not acknowledged yet, and which tasks are here: kept in a file, so that an executor which
//! starts again over running containers knows whose they are.
//!
//! The file is the protobuf of a SUBSCRIBE's lists. Losing the newest change costs nothing: the agent knows the
//! tasks and repeats what it misses.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use bytes::Bytes;
use km_mesos::executor::call;
use km_mesos::{TaskInfo, TaskStatus};
use prost::Message as _;
use tracing::warn;

#[derive(Debug)]
pub(crate) struct Ledger {
    file: PathBuf,
    /// Every task that has not ended with an acknowledged update.
    tasks: BTreeMap<String, TaskInfo>,
    /// Tasks whose first update is not acknowledged.
    fresh: BTreeSet<String>,
    /// Updates in the order in which they were made.
    updates: Vec<TaskStatus>,
}

impl Ledger {
    /// Reads the file of an earlier life, or starts empty.
    pub(crate) fn open(file: PathBuf) -> Self {
        let kept = std::fs::read(&file).ok().and_then(|bytes| call::Subscribe::decode(bytes.as_slice()).ok());
        let kept = kept.unwrap_or_default();
        let tasks: BTreeMap<_, _> =
            kept.unacknowledged_tasks.into_iter().map(|task| (task.task_id.value.clone(), task)).collect();
        let updates = kept.unacknowledged_updates.into_iter().map(|update| update.status).collect();
        // Listing a task that Mesos has acknowledged does no harm; leaving one out loses it.
        Self { file, fresh: tasks.keys().cloned().collect(), tasks, updates }
    }

    /// Returns the tasks of an earlier life.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &TaskInfo> {
        self.tasks.values()
    }

    pub(crate) fn launched(&mut self, task: TaskInfo) {
        let id = task.task_id.value.clone();
        self.fresh.insert(id.clone());
        self.tasks.insert(id, task);
        self.keep();
    }

    pub(crate) fn update(&mut self, status: TaskStatus) {
        self.updates.push(status);
        self.keep();
    }

    pub(crate) fn acknowledged(&mut self, task_id: &str, uuid: &Bytes) {
        self.fresh.remove(task_id);
        self.updates.retain(|status| {
            let is_it = status.task_id.value == task_id && status.uuid.as_ref() == Some(uuid);
            if is_it && status.known_state().is_some_and(km_mesos::TaskState::is_terminal) {
                self.tasks.remove(task_id);
            }
            !is_it
        });
        self.keep();
    }

    pub(crate) fn unacknowledged_tasks(&self) -> Vec<TaskInfo> {
        self.fresh.iter().filter_map(|id| self.tasks.get(id)).cloned().collect()
    }

    pub(crate) fn updates(&self) -> Vec<call::Update> {
        self.updates.iter().map(|status| call::Update { status: status.clone() }).collect()
    }

    pub(crate) fn has_updates(&self) -> bool {
        !self.updates.is_empty()
    }

    fn keep(&self) {
        let kept = call::Subscribe {
            unacknowledged_tasks: self.tasks.values().cloned().collect(),
            unacknowledged_updates: self.updates(),
        };
        let aside = self.file.with_extension("tmp");
        // Launch data may hold a bootstrap token, so nobody else may read it. No fsync: see the top of this file.
        let mut options = std::fs::OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&aside);
        let written = opened.and_then(|mut file| file.write_all(&kept.encode_to_vec()));
        if let Err(error) = written.and_then(|()| std::fs::rename(&aside, &self.file)) {
            warn!(file = %self.file.display(), %error, "failed to keep the ledger of tasks");
        }
    }
}

#[cfg(test)]
mod tests {
    use km_mesos::{TaskId, TaskState};

    use super::*;

    fn status(id: &str, uuid: &'static [u8], state: TaskState) -> TaskStatus {
        TaskStatus {
            task_id: TaskId { value: id.into() },
            state: state.into(),
            uuid: Some(Bytes::from_static(uuid)),
            ..TaskStatus::default()
        }
    }

    #[test]
    fn a_task_stays_until_its_end_is_acknowledged_also_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ledger");
        let mut ledger = Ledger::open(file.clone());
        ledger.launched(TaskInfo { task_id: TaskId { value: "t".into() }, ..TaskInfo::default() });
        ledger.update(status("t", b"1", TaskState::Starting));
        assert_eq!(ledger.unacknowledged_tasks().len(), 1);
        ledger.acknowledged("t", &Bytes::from_static(b"1"));
        assert!(ledger.unacknowledged_tasks().is_empty() && !ledger.has_updates());
        ledger.update(status("t", b"2", TaskState::Finished));

        let mut again = Ledger::open(file.clone());
        assert_eq!((again.tasks().count(), again.updates().len()), (1, 1));
        again.acknowledged("t", &Bytes::from_static(b"2"));
        assert_eq!(Ledger::open(file).tasks().count(), 0);
    }
}
