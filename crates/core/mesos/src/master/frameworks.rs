//! A framework's life: SUBSCRIBE, failover, UPDATE_FRAMEWORK, TEARDOWN, and running out of its failover timeout.

use std::collections::BTreeSet;
use std::time::Duration;

use km_base::Timestamp;
use km_mesos::scheduler::{self, Event as SchedulerEvent, event};
use km_mesos::{FrameworkId, FrameworkInfo, master};

use super::validate::framework_error;
use super::{Action, Answer, Framework, Master, REMOVED_FRAMEWORKS_MAX, RequestId, Stream, StreamId, Times, roles_of};
use crate::allocator::{Constraints, Wants};
use crate::link::ToAgent;

/// What a SUBSCRIBE replaces.
struct Subscription {
    info: FrameworkInfo,
    suppressed: BTreeSet<String>,
    constraints: Option<scheduler::OfferConstraints>,
    stream: StreamId,
}

impl Master {
    pub(super) fn subscribe(
        &mut self,
        now: Timestamp,
        request: RequestId,
        fresh: StreamId,
        subscribe: scheduler::call::Subscribe,
        out: &mut Vec<Action>,
    ) {
        out.push(Action::Answer { request, answer: Answer::Subscribed(fresh.clone()) });
        let error = self.subscription_error(&subscribe);
        let constraints = Constraints::new(subscribe.offer_constraints.as_ref());
        let (wanted, error) = match (constraints, error) {
            (Ok(constraints), None) => (constraints, None),
            (Ok(constraints), error) => (constraints, error),
            (Err(error), _) => (Constraints::default(), Some(error)),
        };
        if let Some(message) = error {
            out.push(Action::ToScheduler { stream: fresh.clone(), event: Box::new(error_event(message)) });
            out.push(Action::CloseStream(fresh));
            return;
        }
        let mut info = subscribe.framework_info;
        let id = match info.id.clone().filter(|id| !id.value.is_empty()) {
            Some(id) => id,
            None => {
                let id = FrameworkId::new(format!("{}-{:04}", self.settings.info.id, self.next_framework));
                self.next_framework += 1;
                id
            }
        };
        info.id = Some(id.clone());
        let wants = Wants {
            roles: roles_of(&info),
            suppressed: subscribe.suppressed_roles.iter().cloned().collect(),
            constraints: wanted,
        };
        let suppressed = wants.suppressed.clone();
        let subscription =
            Subscription { info, suppressed, constraints: subscribe.offer_constraints, stream: fresh.clone() };
        self.replace_subscription(now, &id, subscription, out);
        self.allocator.set_framework(&id, wants);
        out.push(Action::ToScheduler { stream: fresh.clone(), event: Box::new(self.subscribed_event(&id)) });
        out.push(super::heartbeat(&fresh, true));
        let beat = now + self.settings.heartbeat_interval;
        self.streams.insert(fresh, Stream { framework_id: Some(id), next_heartbeat: beat });
        self.allocate_now = true;
    }

    fn replace_subscription(
        &mut self,
        now: Timestamp,
        id: &FrameworkId,
        subscription: Subscription,
        out: &mut Vec<Action>,
    ) {
        let Subscription { mut info, suppressed, constraints, stream } = subscription;
        let Some(known) = self.frameworks.get_mut(id) else {
            let framework = Framework {
                info,
                suppressed,
                constraints,
                stream: Some(stream),
                times: Times { registered: Some(now), reregistered: Some(now), unregistered: None },
                disconnected: None,
                recovered: false,
                tasks: Default::default(),
                unreachable: Default::default(),
                completed: Default::default(),
            };
            self.frameworks.insert(id.clone(), framework);
            self.tell_operators_of_framework(id, true, out);
            return;
        };
        // Mesos 1.11 src/master/framework.cpp, Framework::update: these two never change after the first SUBSCRIBE.
        info.checkpoint = known.info.checkpoint;
        info.user.clone_from(&known.info.user);
        known.info = info.clone();
        known.suppressed = suppressed;
        known.constraints = constraints;
        known.times.reregistered = Some(now);
        known.disconnected = None;
        known.recovered = false;
        let old = known.stream.replace(stream);
        if let Some(old) = old {
            self.streams.remove(&old);
            let failed_over = error_event("Framework failed over".to_owned());
            out.push(Action::ToScheduler { stream: old.clone(), event: Box::new(failed_over) });
            out.push(Action::CloseStream(old));
        }
        // A new scheduler knows no offers of the old one: they come back to the allocator without a filter.
        self.drop_offers_of(id);
        self.tell_agents_of_framework(id, &info, out);
        self.tell_operators_of_framework(id, false, out);
    }

    pub(super) fn update_framework(
        &mut self,
        request: RequestId,
        id: &FrameworkId,
        update: scheduler::call::UpdateFramework,
        out: &mut Vec<Action>,
    ) {
        let answer = match self.apply_framework_update(id, update, out) {
            Ok(()) => Answer::Done,
            Err(message) => Answer::Rejected(message),
        };
        out.push(Action::Answer { request, answer });
    }

    fn apply_framework_update(
        &mut self,
        id: &FrameworkId,
        update: scheduler::call::UpdateFramework,
        out: &mut Vec<Action>,
    ) -> Result<(), String> {
        let info = FrameworkInfo { id: Some(id.clone()), ..update.framework_info };
        if let Some(message) = framework_error(&info, &update.suppressed_roles) {
            return Err(format!("Supplied FrameworkInfo is not valid: {message}"));
        }
        let constraints = Constraints::new(update.offer_constraints.as_ref())?;
        let Some(framework) = self.frameworks.get_mut(id) else { return Err("Framework cannot be found".to_owned()) };
        // Mesos 1.11 src/master/validation.cpp, framework::validateUpdate.
        for (field, changed) in [
            ("principal", framework.info.principal != info.principal),
            ("user", framework.info.user != info.user),
            ("checkpoint", framework.info.checkpoint() != info.checkpoint()),
        ] {
            if changed {
                return Err(format!("Updating 'FrameworkInfo.{field}' is unsupported"));
            }
        }
        framework.info = info.clone();
        framework.suppressed = update.suppressed_roles.iter().cloned().collect();
        framework.constraints = update.offer_constraints;
        let wants = Wants { roles: roles_of(&info), suppressed: framework.suppressed.clone(), constraints };
        self.allocator.set_framework(id, wants);
        self.tell_agents_of_framework(id, &info, out);
        self.tell_operators_of_framework(id, false, out);
        Ok(())
    }

    pub(super) fn stream_closed(&mut self, now: Timestamp, stream: &StreamId) {
        let Some(closed) = self.streams.remove(stream) else { return };
        let Some(id) = closed.framework_id else { return };
        let Some(framework) = self.frameworks.get_mut(&id) else { return };
        if framework.stream.as_ref() == Some(stream) {
            framework.stream = None;
            framework.disconnected = Some(now);
            self.allocator.set_framework_active(&id, false);
            self.drop_offers_of(&id);
        }
    }

    pub(super) fn expire_frameworks(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let expired: Vec<FrameworkId> = self
            .frameworks
            .iter()
            .filter(|(_, framework)| {
                let timeout = Duration::try_from_secs_f64(framework.info.failover_timeout()).unwrap_or(Duration::MAX);
                framework.disconnected.is_some_and(|since| now.saturating_since(since) >= timeout)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            self.remove_framework(now, &id, out);
        }
    }

    /// Kills everything of a framework and forgets it.
    pub(super) fn remove_framework(&mut self, now: Timestamp, id: &FrameworkId, out: &mut Vec<Action>) {
        self.drop_offers_of(id);
        let Some(mut framework) = self.frameworks.remove(id) else { return };
        if let Some(stream) = framework.stream.take() {
            self.streams.remove(&stream);
            out.push(Action::CloseStream(stream));
        }
        let agents: Vec<_> = self.agents.keys().cloned().collect();
        for agent_id in agents {
            self.forget_on_agent(id, &agent_id);
            self.to_agent(&agent_id, ToAgent::ShutdownFramework { framework_id: id.clone() }, out);
        }
        self.allocator.remove_framework(id);
        self.allocate_now = true;
        framework.times.unregistered = Some(now);
        if self.has_operators() {
            out.push(Action::ToOperators(Box::new(master::Event {
                r#type: Some(master::event::Type::FrameworkRemoved as i32),
                framework_removed: Some(master::event::FrameworkRemoved { framework_info: framework.info.clone() }),
                ..master::Event::default()
            })));
        }
        self.removed_frameworks.push_back((framework.info, framework.times));
        if self.removed_frameworks.len() > REMOVED_FRAMEWORKS_MAX {
            self.removed_frameworks.pop_front();
        }
    }

    fn forget_on_agent(&mut self, id: &FrameworkId, agent_id: &km_mesos::AgentId) {
        let Some(agent) = self.agents.get_mut(agent_id) else { return };
        let mut freed = km_mesos::resources::Resources::new();
        agent.tasks.retain(|(framework, _), task| {
            if framework == id && super::agents::holds_resources(task) {
                freed.add(&km_mesos::resources::Resources::from_messages(&task.resources));
            }
            framework != id
        });
        agent.executors.retain(|(framework, _), info| {
            if framework == id {
                freed.add(&km_mesos::resources::Resources::from_messages(&info.resources));
            }
            framework != id
        });
        self.allocator.recover(id, agent_id, &freed);
    }

    fn subscription_error(&self, subscribe: &scheduler::call::Subscribe) -> Option<String> {
        if let Some(id) = &subscribe.framework_info.id
            && self.removed_frameworks.iter().any(|(removed, _)| removed.id.as_ref() == Some(id))
        {
            return Some("Framework has been removed".to_owned());
        }
        framework_error(&subscribe.framework_info, &subscribe.suppressed_roles)
    }

    fn subscribed_event(&self, id: &FrameworkId) -> SchedulerEvent {
        SchedulerEvent {
            r#type: Some(event::Type::Subscribed as i32),
            subscribed: Some(event::Subscribed {
                framework_id: id.clone(),
                heartbeat_interval_seconds: Some(self.settings.heartbeat_interval.as_secs_f64()),
                master_info: Some(self.settings.info.clone()),
            }),
            ..SchedulerEvent::default()
        }
    }

    fn tell_agents_of_framework(&self, id: &FrameworkId, info: &FrameworkInfo, out: &mut Vec<Action>) {
        for (agent_id, agent) in &self.agents {
            let runs = agent.executors.keys().any(|(framework, _)| framework == id);
            if runs {
                self.to_agent(agent_id, ToAgent::UpdateFramework(Box::new(info.clone())), out);
            }
        }
    }

    fn tell_operators_of_framework(&self, id: &FrameworkId, added: bool, out: &mut Vec<Action>) {
        let Some(framework) = self.frameworks.get(id) else { return };
        if !self.has_operators() {
            return;
        }
        let framework = self.framework_message(id, framework);
        let mut event = master::Event::default();
        if added {
            event.r#type = Some(master::event::Type::FrameworkAdded as i32);
            event.framework_added = Some(master::event::FrameworkAdded { framework });
        } else {
            event.r#type = Some(master::event::Type::FrameworkUpdated as i32);
            event.framework_updated = Some(master::event::FrameworkUpdated { framework });
        }
        out.push(Action::ToOperators(Box::new(event)));
    }
}

fn error_event(message: String) -> SchedulerEvent {
    SchedulerEvent {
        r#type: Some(event::Type::Error as i32),
        error: Some(event::Error { message }),
        ..Default::default()
    }
}
