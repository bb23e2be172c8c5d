//! A model of what CRI holds for one executor: sandboxes and containers. Every order takes a chance time to reach it
//! and its answer another; while faults last some orders fail. A container's life is told by its image's name.

use std::collections::BTreeMap;
use std::time::Duration;

use km_base::{Timestamp, Uid};
use km_lifecycle::{
    Action, Adopted, AdoptedContainer, AdoptedSandbox, AdoptedState, CreateFailure, Event, Exit, ImageFacts,
    ImageFailure, Pulled, SandboxFacts, VolumeFailure,
};

use crate::dice::Dice;

#[derive(Debug, Default)]
pub(crate) struct Runtime {
    pub(crate) sandboxes: BTreeMap<String, Sandbox>,
    pub(crate) containers: BTreeMap<String, Container>,
}

#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) uid: Uid,
    attempt: u32,
    ready: bool,
}

#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) uid: Uid,
    pub(crate) name: String,
    pub(crate) attempt: u32,
    sandbox: String,
    pub(crate) image: String,
    pub(crate) state: State,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    Created,
    Running(Timestamp),
    Exited(Exit),
}

/// What an order did, besides its answer.
#[derive(Debug)]
pub(crate) enum Effect {
    Started {
        container: String,
    },
    /// Ends after this long, unless it ended before.
    Ends {
        container: String,
        after: Duration,
        code: i32,
    },
}

#[cfg(test)]
impl Container {
    /// Returns another run of the same container.
    pub(crate) fn twin(&self, attempt: u32) -> Self {
        let (uid, name, sandbox, image) =
            (self.uid.clone(), self.name.clone(), self.sandbox.clone(), self.image.clone());
        Self { uid, name, attempt, sandbox, image, state: State::Created }
    }
}

/// What decides how an order goes; `number` names what it makes.
pub(crate) struct Chance<'a> {
    pub(crate) number: u64,
    pub(crate) lossy: bool,
    pub(crate) dice: &'a mut Dice,
}

/// What an image's program does: `…/run`, `…/exit-<seconds>`, `…/fail-<seconds>`; `…/missing` cannot be pulled.
fn program(image: &str) -> (&str, u64) {
    let name = image.rsplit('/').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    match name.split_once('-') {
        Some((what, seconds)) => (what, seconds.parse().unwrap_or(1)),
        None => (name, 0),
    }
}

impl Runtime {
    /// Carries an order out. Returns the answer, which may be told later than ends that follow.
    pub(crate) fn order(
        &mut self,
        now: Timestamp,
        uid: &Uid,
        action: &Action,
        image: &str,
        chance: Chance<'_>,
    ) -> (Option<Event>, Vec<Effect>) {
        let Chance { number, lossy, dice } = chance;
        let fails = lossy && dice.chance(40);
        let broken = || "the runtime is busy".to_owned();
        let result = || if fails { Err(broken()) } else { Ok(()) };
        let mut effects = Vec::new();
        let event = match action.clone() {
            Action::PrepareVolumes => {
                Event::VolumesPrepared(result().map_err(|message| VolumeFailure { volume: "config".into(), message }))
            }
            Action::CleanVolumes => Event::VolumesCleaned(result()),
            Action::RunSandbox { attempt } => {
                let result = result().map(|()| {
                    let id = format!("sandbox{number}");
                    self.sandboxes.insert(id.clone(), Sandbox { uid: uid.clone(), attempt, ready: true });
                    SandboxFacts { id, ips: vec!["10.244.0.9".into()] }
                });
                Event::SandboxStarted { attempt, result }
            }
            Action::StopSandbox { id } => {
                if !fails {
                    if let Some(sandbox) = self.sandboxes.get_mut(&id) {
                        sandbox.ready = false;
                    }
                    for (name, container) in &self.containers {
                        if container.sandbox == id && matches!(container.state, State::Running(_)) {
                            effects.push(Effect::Ends { container: name.clone(), after: Duration::ZERO, code: 137 });
                        }
                    }
                }
                Event::SandboxStopped { id, result: result() }
            }
            Action::RemoveSandbox { id } => {
                if !fails {
                    self.sandboxes.remove(&id);
                }
                Event::SandboxRemoved { id, result: result() }
            }
            Action::EnsureImage { container, attempt } => {
                let (what, _) = program(image);
                let result = if what == "missing" || fails {
                    Err(ImageFailure::Pull("not found".into()))
                } else {
                    let pulled = dice.chance(300).then_some(Pulled { took: Duration::from_millis(300), size: 1 << 20 });
                    Ok(ImageFacts { image_ref: image.to_owned(), pulled })
                };
                Event::ImageEnsured { container, attempt, result }
            }
            Action::CreateContainer { container, attempt, sandbox, image } => {
                let result = result().map_err(CreateFailure::Runtime).map(|()| {
                    let id = format!("container{number}");
                    let new = Container {
                        uid: uid.clone(),
                        name: container.clone(),
                        attempt,
                        sandbox,
                        image,
                        state: State::Created,
                    };
                    self.containers.insert(id.clone(), new);
                    id
                });
                Event::ContainerCreated { container, attempt, result }
            }
            Action::StartContainer { container, id } => {
                let result = match self.containers.get_mut(&id) {
                    Some(found) if !fails && found.state == State::Created => {
                        found.state = State::Running(now);
                        effects.push(Effect::Started { container: id.clone() });
                        let (what, seconds) = program(&found.image);
                        let after = Duration::from_secs(seconds) + dice.millis(0, 500);
                        match what {
                            "exit" => effects.push(Effect::Ends { container: id.clone(), after, code: 0 }),
                            "fail" => effects.push(Effect::Ends { container: id.clone(), after, code: 1 }),
                            _ => {}
                        }
                        Ok(())
                    }
                    _ => Err(broken()),
                };
                Event::ContainerStarted { container, id, result }
            }
            Action::StopContainer { container, id, grace } => {
                let runs = self.containers.get(&id).is_some_and(|c| matches!(c.state, State::Running(_)));
                if runs && !fails {
                    let most = u64::try_from(grace.as_millis()).unwrap_or(0).min(3_000);
                    let after = dice.millis(0, most + 1);
                    effects.push(Effect::Ends { container: id.clone(), after, code: 143 });
                }
                Event::StopAnswered { container, id, result: result() }
            }
            Action::RemoveContainer { id } => {
                if !fails {
                    self.containers.remove(&id);
                }
                Event::ContainerRemoved { id, result: result() }
            }
            Action::RunHook { container, id, hook, .. } => Event::HookDone { container, id, hook, result: Ok(()) },
            _ => return (None, effects),
        };
        (Some(event), effects)
    }

    /// Ends a running container; returns the news of it.
    pub(crate) fn end(&mut self, now: Timestamp, id: &str, code: i32) -> Option<(Uid, Event)> {
        let container = self.containers.get_mut(id)?;
        let State::Running(since) = container.state else { return None };
        let reason = if code == 0 { "Completed" } else { "Error" };
        let exit =
            Exit { code, reason: reason.to_owned(), message: String::new(), started_at: Some(since), finished_at: now };
        container.state = State::Exited(exit.clone());
        let event = Event::ContainerExited { container: container.name.clone(), id: id.to_owned(), exit };
        Some((container.uid.clone(), event))
    }

    /// Returns what is held of each pod.
    pub(crate) fn adopt(&self) -> BTreeMap<Uid, Adopted> {
        let mut found: BTreeMap<Uid, Adopted> = BTreeMap::new();
        for (id, sandbox) in &self.sandboxes {
            let entry = found.entry(sandbox.uid.clone()).or_default();
            if entry.sandbox.as_ref().is_none_or(|other| other.attempt <= sandbox.attempt) {
                let facts = SandboxFacts { id: id.clone(), ips: vec!["10.244.0.9".into()] };
                entry.sandbox = Some(AdoptedSandbox { facts, attempt: sandbox.attempt, ready: sandbox.ready });
            }
        }
        for (id, container) in &self.containers {
            let state = match &container.state {
                State::Created => AdoptedState::Created,
                State::Running(since) => AdoptedState::Running(*since),
                State::Exited(exit) => AdoptedState::Exited(exit.clone()),
            };
            found.entry(container.uid.clone()).or_default().containers.push(AdoptedContainer {
                name: container.name.clone(),
                id: id.clone(),
                attempt: container.attempt,
                image_ref: container.image.clone(),
                state,
            });
        }
        for adopted in found.values_mut() {
            adopted.containers.sort_by_key(|container| container.attempt);
        }
        found
    }
}
