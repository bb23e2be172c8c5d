//! The controllers' process: drive/manager's own listers and queue; each plan's writes are sent in a chance order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use km_api::lister::Cached;
use km_api::{Response, Status};
use km_base::Timestamp;
use km_client::Change;
use km_controllers::Write;
use km_manager::{Attempt, Controllers, Key};

use crate::api::{Caller, Client, Want};
use crate::informer::{Informer, Told};
use crate::world::{Input, World};

/// Plans performed at a time.
const PLANS_MAX: usize = 64;

pub(crate) struct ManagerProcess {
    pub(crate) life: u64,
    pub(crate) up: bool,
    controllers: Controllers,
    pub(crate) informers: Vec<Informer>,
    plans: BTreeMap<u64, Under>,
    wakes: BTreeSet<Timestamp>,
    woken: bool,
}

/// A plan under way.
struct Under {
    key: Key,
    writes: Vec<Write>,
    results: BTreeMap<usize, Result<Response, Status>>,
}

impl ManagerProcess {
    pub(crate) fn new() -> Self {
        Self {
            life: 0,
            up: false,
            controllers: Controllers::new("ca".to_owned()),
            informers: Vec::new(),
            plans: BTreeMap::new(),
            wakes: BTreeSet::new(),
            woken: false,
        }
    }
}

impl World {
    pub(crate) fn manager_start(&mut self) {
        if self.manager.up {
            return;
        }
        let life = self.manager.life + 1;
        let followed = Controllers::followed();
        let informers: Vec<Informer> = followed.into_iter().map(|r| Informer::new(r, String::new())).collect();
        let count = informers.len();
        self.manager = ManagerProcess { life, up: true, informers, ..ManagerProcess::new() };
        self.trace(|| format!("manager {life} starts"));
        for at in 0..count {
            self.informer_list(Client::Manager(life), at);
        }
    }

    pub(crate) fn manager_crash(&mut self) {
        let life = self.manager.life;
        self.trace(|| format!("manager {life} dies"));
        self.manager.up = false;
    }

    pub(crate) fn manager_changed(&mut self, at: usize, told: Told) {
        let resource = self.manager.informers[at].resource;
        let change = match told {
            Told::Upsert(object) => match Controllers::project(resource, &object) {
                Ok(projection) => Change::Upsert(Cached { meta: object.shared_meta(), object: Arc::new(projection) }),
                Err(error) => return self.fail(format!("controllers cannot read {}: {error}", resource.plural)),
            },
            Told::Delete(key) => Change::Delete(key),
            Told::Synced => Change::Synced,
        };
        self.manager.controllers.take(resource, change);
        self.manager_wake();
    }

    /// Looks at the queue soon, so that a burst is planned for once.
    fn manager_wake(&mut self) {
        if !std::mem::replace(&mut self.manager.woken, true) {
            let (wait, life) = (self.dice.millis(0, 4), self.manager.life);
            self.post(wait, Input::ManagerTick { life, at: None });
        }
    }

    pub(crate) fn manager_tick(&mut self, life: u64, at: Option<Timestamp>) {
        if !self.manager.up || self.manager.life != life {
            return;
        }
        match at {
            Some(at) => drop(self.manager.wakes.remove(&at)),
            None => self.manager.woken = false,
        }
        while self.manager.plans.len() < PLANS_MAX {
            let Some((key, writes)) = self.manager.controllers.next(self.now) else { break };
            let number = self.number();
            let order = self.dice.shuffle((0..writes.len()).collect(), |_| None);
            for index in order {
                let request = km_manager::request(&writes[index]);
                self.api_send(Caller { client: Client::Manager(life), want: Want::Plan { number, index } }, request);
            }
            self.manager.plans.insert(number, Under { key, writes, results: BTreeMap::new() });
        }
        if let Some(due) = self.manager.controllers.next_due()
            && self.manager.wakes.insert(due)
        {
            self.post_at(due, Input::ManagerTick { life, at: Some(due) });
        }
    }

    pub(crate) fn manager_written(&mut self, number: u64, index: usize, result: Result<Response, Status>) {
        let Some(under) = self.manager.plans.get_mut(&number) else { return };
        under.results.insert(index, result);
        if under.results.len() < under.writes.len() {
            return;
        }
        let Some(under) = self.manager.plans.remove(&number) else { return };
        let attempts: Vec<Attempt> = under
            .writes
            .into_iter()
            .zip(under.results.into_values())
            .map(|(write, result)| km_manager::attempt(write, result))
            .collect();
        self.manager.controllers.finish(self.now, under.key, attempts);
        self.manager_wake();
    }
}
