//! One scenario, two Mesoses, the same lines.

use anyhow::Result;
use expect_test::expect;
use km_mesos_contract::scenario::{self, Target};

use crate::embedded::{EXECUTOR, Embedded};

#[tokio::test]
async fn the_embedded_mesos_keeps_the_contract() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let embedded = Embedded::start(folder.path(), "posix")?;
    let observed = scenario::run(&embedded.target("embedded")).await?;
    expect![[r#"
        == SUBSCRIBE with an id of our own
        SUBSCRIBED as contract-RUN
        == LAUNCH on a new executor
        UPDATE t1 TASK_STARTING SOURCE_EXECUTOR - ack ""
        UPDATE t1 TASK_RUNNING SOURCE_EXECUTOR - ack ""
        == the next offer names the executor
        e1
        == one good task among bad ones
        UPDATE t1 TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID no ack "Task has duplicate ID"
        UPDATE big TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID no ack "Total resources cpus(allocated"
        UPDATE alien TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID no ack "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID."
        UPDATE lost TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID no ack "Task uses invalid agent no-such-agent while agent AGENT is expected"
        UPDATE bare TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID no ack "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
        UPDATE sl/ash TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID no ack ""
        UPDATE empty TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID no ack "Task uses no resources"
        UPDATE t2 TASK_STARTING SOURCE_EXECUTOR - ack ""
        UPDATE t2 TASK_RUNNING SOURCE_EXECUTOR - ack ""
        == ACCEPT of a used offer
        UPDATE stale TASK_DROPPED SOURCE_MASTER REASON_INVALID_OFFERS no ack "Task launched with invalid offers"
        == RECONCILE explicit
        UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION no ack "Reconciliation"
        UPDATE t2 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION no ack "Reconciliation"
        UPDATE never TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION no ack "Reconciliation"
        UPDATE never2 TASK_GONE SOURCE_MASTER REASON_RECONCILIATION no ack "Reconciliation"
        UPDATE never3 TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION no ack "Reconciliation"
        == RECONCILE implicit, then a sentinel
        UPDATE t1 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION no ack "Reconciliation"
        UPDATE t2 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION no ack "Reconciliation"
        UPDATE sentinel TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION no ack "Reconciliation"
        == MESSAGE there and back
        MESSAGE from e1: ping
        == KILL of a task and of none
        UPDATE t1 TASK_KILLED SOURCE_EXECUTOR - ack ""
        UPDATE never TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION no ack "Reconciliation"
        == RECONCILE of an ended task
        UPDATE t1 TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION no ack "Reconciliation"
        == failover to a second scheduler
        SUBSCRIBED as contract-RUN
        ERROR Framework failed over
        400 The stream ID 
        == an executor that exits
        FAILURE of executor e1
        UPDATE t2 TASK_FAILED SOURCE_AGENT REASON_EXECUTOR_TERMINATED ack "Executor terminated"
        == SUPPRESS, then REVIVE
        == SUBSCRIBE after TEARDOWN
        ERROR Framework has been removed"#]].assert_eq(&observed.join("\n"));
    if let Ok(master) = std::env::var("MESOS_CONTRACT_MASTER") {
        let run_id = uuid::Uuid::new_v4().simple().to_string();
        let apache = Target { master, credential: None, executor: EXECUTOR.to_owned(), run_id };
        let real = scenario::run(&apache).await?;
        assert_eq!(observed, real, "embedded on the left, Apache Mesos on the right");
    }
    Ok(())
}
