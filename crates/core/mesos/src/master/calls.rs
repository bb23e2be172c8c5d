//! Calls of schedulers and operators: whose stream it is, which method serves it, what is refused.
//!
//! The refusal texts are Apache Mesos's (src/master/http.cpp and src/master/validation.cpp, 1.11): clients show them.

use km_base::Timestamp;
use km_mesos::scheduler::{Call, call};
use km_mesos::{AgentId, FrameworkId, OfferId, TaskState, master};

use super::{Action, Answer, Master, RequestId, StreamId};
use crate::link::ToAgent;

impl Master {
    pub(super) fn scheduler_call(
        &mut self,
        now: Timestamp,
        request: RequestId,
        stream: Option<StreamId>,
        fresh: StreamId,
        call: Call,
        out: &mut Vec<Action>,
    ) {
        let reject = |text: String| Action::Answer { request, answer: Answer::Rejected(text) };
        if let Some(problem) = malformed(&call) {
            out.push(reject(format!("Failed to validate scheduler::Call: {problem}")));
            return;
        }
        if call.r#type() == call::Type::Subscribe {
            if stream.is_some() {
                out.push(reject("Subscribe calls should not include the 'Mesos-Stream-Id' header".to_owned()));
            } else if let Some(subscribe) = call.subscribe {
                self.subscribe(now, request, fresh, subscribe, out);
            }
            return;
        }
        let Some(framework_id) = call.framework_id.clone() else { return };
        match self.stream_problem(&framework_id, stream.as_ref()) {
            Some(problem) => out.push(reject(problem)),
            None if call.r#type() == call::Type::UpdateFramework => {
                if let Some(update) = call.update_framework {
                    self.update_framework(request, &framework_id, update, out);
                }
            }
            None => {
                out.push(Action::Answer { request, answer: Answer::Accepted });
                self.accepted_call(now, &framework_id, call, out);
            }
        }
    }

    fn stream_problem(&self, framework_id: &FrameworkId, stream: Option<&StreamId>) -> Option<String> {
        let Some(framework) = self.frameworks.get(framework_id) else {
            return Some("Framework cannot be found".to_owned());
        };
        let Some(subscribed) = &framework.stream else { return Some("Framework is not subscribed".to_owned()) };
        let Some(stream) = stream else {
            return Some("All non-subscribe calls should include the 'Mesos-Stream-Id' header".to_owned());
        };
        (stream != subscribed).then(|| {
            format!(
                "The stream ID '{}' included in this request didn't match the stream ID currently associated with \
                 framework ID {framework_id}",
                stream.0
            )
        })
    }

    fn accepted_call(&mut self, now: Timestamp, id: &FrameworkId, call: Call, out: &mut Vec<Action>) {
        match call.r#type() {
            call::Type::Teardown => self.remove_framework(now, id, out),
            call::Type::Accept => {
                if let Some(accept) = call.accept {
                    self.accept(now, id, accept, out);
                }
            }
            call::Type::Decline => {
                if let Some(decline) = call.decline {
                    let seconds = decline.filters.unwrap_or_default().refuse_seconds();
                    self.decline(now, id, &decline.offer_ids, seconds);
                }
            }
            call::Type::Revive => {
                let roles = call.revive.map(|revive| revive.roles).unwrap_or_default();
                self.set_suppressed(id, &roles, false);
                self.allocator.revive(id, &roles);
                self.allocate_now = true;
            }
            call::Type::Suppress => {
                let roles = call.suppress.map(|suppress| suppress.roles).unwrap_or_default();
                self.set_suppressed(id, &roles, true);
                self.allocator.suppress(id, &roles);
            }
            call::Type::Kill => {
                if let Some(kill) = call.kill {
                    self.kill(now, id, kill, out);
                }
            }
            call::Type::Shutdown => {
                if let Some(shutdown) = call.shutdown {
                    let message =
                        ToAgent::ShutdownExecutor { framework_id: id.clone(), executor_id: shutdown.executor_id };
                    self.to_agent(&shutdown.agent_id, message, out);
                }
            }
            call::Type::Acknowledge => {
                if let Some(acknowledge) = call.acknowledge {
                    self.acknowledge(id, acknowledge, out);
                }
            }
            call::Type::Reconcile => {
                let tasks = call.reconcile.map(|reconcile| reconcile.tasks).unwrap_or_default();
                self.reconcile(now, id, &tasks, out);
            }
            call::Type::ReconcileOperations => {
                let operations = call.reconcile_operations.map(|reconcile| reconcile.operations).unwrap_or_default();
                self.reconcile_operations(id, &operations, out);
            }
            call::Type::Message => {
                if let Some(message) = call.message {
                    let forwarded = ToAgent::FrameworkMessage {
                        framework_id: id.clone(),
                        executor_id: message.executor_id,
                        data: message.data,
                    };
                    self.to_agent(&message.agent_id, forwarded, out);
                }
            }
            // Operations finish at once here and inverse offers are never sent; REQUEST does nothing in Mesos either.
            call::Type::AcknowledgeOperationStatus
            | call::Type::AcceptInverseOffers
            | call::Type::DeclineInverseOffers
            | call::Type::Request
            | call::Type::Subscribe
            | call::Type::UpdateFramework
            | call::Type::Unknown => {}
        }
    }

    fn set_suppressed(&mut self, id: &FrameworkId, roles: &[String], suppressed: bool) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let own = super::roles_of(&framework.info);
        for role in own.iter().filter(|role| roles.is_empty() || roles.contains(role)) {
            if suppressed {
                framework.suppressed.insert(role.clone());
            } else {
                framework.suppressed.remove(role);
            }
        }
    }

    fn decline(&mut self, now: Timestamp, id: &FrameworkId, offers: &[OfferId], seconds: f64) {
        for offer_id in offers {
            if self.offers.get(offer_id).is_none_or(|offer| offer.framework_id != *id) {
                continue;
            }
            if let Some(offer) = self.offers.remove(offer_id) {
                self.allocator.recover(id, &offer.agent_id, &offer.resources);
                self.allocator.refuse(now, id, &offer.role, &offer.agent_id, &offer.resources, seconds);
            }
        }
    }

    fn kill(&mut self, now: Timestamp, id: &FrameworkId, kill: call::Kill, out: &mut Vec<Action>) {
        let agent_id = self.frameworks.get(id).and_then(|framework| framework.tasks.get(&kill.task_id)).cloned();
        match agent_id {
            Some(agent_id) => {
                let message = ToAgent::KillTask {
                    framework_id: id.clone(),
                    task_id: kill.task_id,
                    kill_policy: kill.kill_policy,
                };
                self.to_agent(&agent_id, message, out);
            }
            // Mesos 1.11 src/master/master.cpp, Master::kill: an unknown task is reconciled instead.
            None => {
                let task = call::reconcile::Task { task_id: kill.task_id, agent_id: kill.agent_id };
                self.reconcile(now, id, &[task], out);
            }
        }
    }

    fn acknowledge(&mut self, id: &FrameworkId, acknowledge: call::Acknowledge, out: &mut Vec<Action>) {
        let key = (id.clone(), acknowledge.task_id.clone());
        let ended =
            self.agents.get(&acknowledge.agent_id).and_then(|agent| agent.tasks.get(&key)).is_some_and(|task| {
                let state = task.status_update_state.and_then(|state| TaskState::try_from(state).ok());
                state.is_some_and(TaskState::is_terminal) && task.status_update_uuid.as_ref() == Some(&acknowledge.uuid)
            });
        if ended {
            self.complete_task(&acknowledge.agent_id, &key);
        }
        let message =
            ToAgent::Acknowledge { framework_id: id.clone(), task_id: acknowledge.task_id, uuid: acknowledge.uuid };
        self.to_agent(&acknowledge.agent_id, message, out);
    }

    pub(super) fn operate(&mut self, now: Timestamp, request: RequestId, call: &master::Call, out: &mut Vec<Action>) {
        let answer = match call.r#type() {
            master::call::Type::Teardown => match call.teardown.as_ref().map(|teardown| &teardown.framework_id) {
                Some(id) if self.frameworks.contains_key(id) => {
                    let id = id.clone();
                    self.remove_framework(now, &id, out);
                    Answer::Done
                }
                Some(_) => Answer::Rejected("No framework found with specified ID".to_owned()),
                None => Answer::Rejected(missing("teardown")),
            },
            master::call::Type::MarkAgentGone => match call.mark_agent_gone.as_ref().map(|gone| &gone.agent_id) {
                Some(id) if self.agents.contains_key(id) => {
                    let id: AgentId = id.clone();
                    self.mark_gone(now, &id, out);
                    Answer::Done
                }
                Some(_) => Answer::Rejected("Agent not found".to_owned()),
                None => Answer::Rejected(missing("mark_agent_gone")),
            },
            other => Answer::NotImplemented(format!("{other} is not served by the embedded Mesos")),
        };
        out.push(Action::Answer { request, answer });
    }
}

fn missing(field: &str) -> String {
    format!("Failed to validate master::Call: Expecting '{field}' to be present")
}

/// Checks what Mesos checks of a call before it looks at any state.
fn malformed(call: &Call) -> Option<String> {
    let present = |field: &str, is_present: bool| (!is_present).then(|| format!("Expecting '{field}' to be present"));
    if call.r#type() == call::Type::Unknown {
        return present("type", false);
    }
    if call.r#type() == call::Type::Subscribe {
        let Some(subscribe) = &call.subscribe else { return present("subscribe", false) };
        let differs = subscribe.framework_info.id != call.framework_id;
        return differs.then(|| "'framework_id' differs from 'subscribe.framework_info.id'".to_owned());
    }
    if call.framework_id.is_none() {
        return present("framework_id", false);
    }
    match call.r#type() {
        call::Type::Accept => present("accept", call.accept.is_some()),
        call::Type::Decline => present("decline", call.decline.is_some()),
        call::Type::AcceptInverseOffers => present("accept_inverse_offers", call.accept_inverse_offers.is_some()),
        call::Type::DeclineInverseOffers => present("decline_inverse_offers", call.decline_inverse_offers.is_some()),
        call::Type::Kill => present("kill", call.kill.is_some()),
        call::Type::Shutdown => present("shutdown", call.shutdown.is_some()),
        call::Type::Acknowledge => match &call.acknowledge {
            Some(acknowledge) => (acknowledge.uuid.len() != 16).then(|| "Not a valid UUID".to_owned()),
            None => present("acknowledge", false),
        },
        call::Type::AcknowledgeOperationStatus => {
            present("acknowledge_operation_status", call.acknowledge_operation_status.is_some())
        }
        call::Type::Reconcile => present("reconcile", call.reconcile.is_some()),
        call::Type::ReconcileOperations => present("reconcile_operations", call.reconcile_operations.is_some()),
        call::Type::Message => present("message", call.message.is_some()),
        call::Type::Request => present("request", call.request.is_some()),
        call::Type::UpdateFramework => match &call.update_framework {
            Some(update) => {
                let differs = update.framework_info.id != call.framework_id;
                differs.then(|| "'framework_id' differs from 'update_framework.framework_info.id'".to_owned())
            }
            None => present("update_framework", false),
        },
        call::Type::Teardown
        | call::Type::Revive
        | call::Type::Suppress
        | call::Type::Subscribe
        | call::Type::Unknown => None,
    }
}
