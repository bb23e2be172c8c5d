//! Resource arithmetic with Mesos's exact three decimals.
//!
//! A [`Resources`] is what an agent has, an offer holds or a task uses. Amounts of the same identity merge: identity is
//! the resource message without its amount, that is name, allocation role, reservations, disk, shared and revocable.
//! Scalars are kept in thousandths (Mesos 1.11 src/common/values.cpp, `convertToFixed`: rounded to three decimals).
//! Nothing here knows what a name means; `"cpus"` and `"ports"` are only the names that km asks for.

use std::collections::BTreeSet;
use std::fmt;

use crate::ranges::RangeSet;
use crate::value::Type;
use crate::{Resource, resource, value};

/// A scalar amount in thousandths: `250` is 0.25 cpus, `64_000` is 64 MB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Milli(pub i64);

impl Milli {
    /// Rounds to the nearest thousandth, half away from zero, as Mesos does.
    pub fn from_f64(value: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float cast saturates, which is what an infinite limit needs"
        )]
        Self((value * 1000.0).round() as i64)
    }

    /// Returns the amount in units.
    pub fn to_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 thousandths")]
        let thousandths = self.0 as f64;
        thousandths / 1000.0
    }
}

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_f64())
    }
}

impl std::ops::Add for Milli {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for Milli {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::iter::Sum for Milli {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.map(|amount| amount.0).sum())
    }
}

/// How much of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Thousandths.
    Scalar(Milli),
    /// Whole numbers, such as ports.
    Ranges(RangeSet),
    /// Names.
    Set(BTreeSet<String>),
}

impl Amount {
    fn of(resource: &Resource) -> Option<Self> {
        match Type::try_from(resource.r#type).ok()? {
            Type::Scalar => resource.scalar.as_ref().map(|scalar| Self::Scalar(Milli::from_f64(scalar.value))),
            Type::Ranges => resource.ranges.as_ref().map(|ranges| Self::Ranges(RangeSet::from_message(ranges))),
            Type::Set => resource.set.as_ref().map(|set| Self::Set(set.item.iter().cloned().collect())),
            Type::Text => None,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(amount) => amount.0 <= 0,
            Self::Ranges(ranges) => ranges.is_empty(),
            Self::Set(items) => items.is_empty(),
        }
    }

    fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(own), Self::Scalar(other)) => own >= other,
            (Self::Ranges(own), Self::Ranges(other)) => own.contains_all(other),
            (Self::Set(own), Self::Set(other)) => own.is_superset(other),
            _ => false,
        }
    }

    fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(own), Self::Scalar(other)) => *own = *own + *other,
            (Self::Ranges(own), Self::Ranges(other)) => own.add(other),
            (Self::Set(own), Self::Set(other)) => own.extend(other.iter().cloned()),
            _ => {}
        }
    }

    fn subtract(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(own), Self::Scalar(other)) => *own = *own - *other,
            (Self::Ranges(own), Self::Ranges(other)) => own.subtract(other),
            (Self::Set(own), Self::Set(other)) => own.retain(|item| !other.contains(item)),
            _ => {}
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    /// The resource message with the amount taken out.
    identity: Resource,
    amount: Amount,
}

impl Entry {
    fn of(resource: &Resource) -> Option<Self> {
        let amount = Amount::of(resource)?;
        let mut identity = Resource { scalar: None, ranges: None, set: None, ..resource.clone() };
        // The pre-1.4 way to write an unreserved resource; one identity, one spelling.
        if identity.role.as_deref() == Some("*") && identity.reservation.is_none() {
            identity.role = None;
        }
        Some(Self { identity, amount })
    }

    fn message(&self) -> Resource {
        let mut resource = self.identity.clone();
        match &self.amount {
            Amount::Scalar(amount) => resource.scalar = Some(value::Scalar { value: amount.to_f64() }),
            Amount::Ranges(ranges) => resource.ranges = Some(ranges.to_message()),
            Amount::Set(items) => resource.set = Some(value::Set { item: items.iter().cloned().collect() }),
        }
        resource
    }
}

/// A bag of resources, merged by identity; entries keep the order in which they first came.
#[derive(Clone, Debug, Default)]
pub struct Resources(Vec<Entry>);

impl PartialEq for Resources {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.contains(other) && other.contains(self)
    }
}

impl Resources {
    /// Returns no resources.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Reads messages; those of unknown type or without an amount are passed over.
    pub fn from_messages(resources: &[Resource]) -> Self {
        let mut bag = Self::new();
        for entry in resources.iter().filter_map(Entry::of) {
            bag.add_entry(&entry);
        }
        bag
    }

    /// Writes messages, one an identity.
    pub fn to_messages(&self) -> Vec<Resource> {
        self.0.iter().map(Entry::message).collect()
    }

    /// Tells whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        for entry in &other.0 {
            self.add_entry(entry);
        }
    }

    /// Takes `other` away; what is not there is passed over and no amount falls below zero.
    pub fn subtract(&mut self, other: &Self) {
        for entry in &other.0 {
            if let Some(own) = self.0.iter_mut().find(|own| own.identity == entry.identity) {
                own.amount.subtract(&entry.amount);
            }
        }
        self.0.retain(|entry| !entry.amount.is_empty());
    }

    /// Tells whether all of `other` is here, identity by identity.
    pub fn contains(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|entry| self.0.iter().any(|own| own.identity == entry.identity && own.amount.contains(&entry.amount)))
    }

    /// Sums a scalar by name over all identities.
    pub fn scalar(&self, name: &str) -> Milli {
        self.named(name)
            .filter_map(|entry| if let Amount::Scalar(amount) = entry.amount { Some(amount) } else { None })
            .sum()
    }

    /// Joins the ranges of a name over all identities.
    pub fn ranges(&self, name: &str) -> RangeSet {
        let mut all = RangeSet::new();
        for entry in self.named(name) {
            if let Amount::Ranges(ranges) = &entry.amount {
                all.add(ranges);
            }
        }
        all
    }

    /// Yields the distinct names of scalars, in order of appearance.
    pub fn scalar_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for entry in &self.0 {
            if matches!(entry.amount, Amount::Scalar(_)) && !names.contains(&entry.identity.name.as_str()) {
                names.push(&entry.identity.name);
            }
        }
        names
    }

    /// Takes `amount` of a scalar out, reserved before unreserved and never a persistent volume;
    /// `None`, and nothing is taken, when there is less.
    pub fn take_scalar(&mut self, name: &str, amount: Milli) -> Option<Self> {
        let mut missing = amount;
        let mut taken = Self::new();
        for reserved in [true, false] {
            for entry in self.named(name).filter(|entry| entry.identity.reservations.is_empty() != reserved) {
                let Amount::Scalar(there) = entry.amount else {
                    continue;
                };
                let is_volume = entry.identity.disk.as_ref().is_some_and(|disk| disk.persistence.is_some());
                let take = there.min(missing);
                if !is_volume && take.0 > 0 {
                    taken.add_entry(&Entry { identity: entry.identity.clone(), amount: Amount::Scalar(take) });
                    missing = missing - take;
                }
            }
        }
        self.take(missing.0 <= 0, taken)
    }

    /// Takes the given numbers of a ranges resource out; `None`, and nothing is taken, when one is not there.
    pub fn take_ranges(&mut self, name: &str, wanted: &RangeSet) -> Option<Self> {
        let mut missing = wanted.clone();
        let mut taken = Self::new();
        for entry in self.named(name) {
            let Amount::Ranges(there) = &entry.amount else {
                continue;
            };
            let mut outside = missing.clone();
            outside.subtract(there);
            let mut take = missing.clone();
            take.subtract(&outside);
            if !take.is_empty() {
                taken.add_entry(&Entry { identity: entry.identity.clone(), amount: Amount::Ranges(take) });
                missing = outside;
            }
        }
        self.take(missing.is_empty(), taken)
    }

    /// Returns the same resources as allocated to `role`.
    pub fn allocated_to(&self, role: &str) -> Self {
        let allocation = resource::AllocationInfo { role: Some(role.to_owned()) };
        self.mapped(|identity| identity.allocation_info = Some(allocation.clone()))
    }

    /// Returns the same resources without an allocation, as an agent has them.
    pub fn unallocated(&self) -> Self {
        self.mapped(|identity| identity.allocation_info = None)
    }

    /// Returns the part that may be offered to `role`: unreserved, and reserved to it or to one of its ancestors.
    /// Source: Mesos 1.11 docs/reservation.md and docs/roles.md, hierarchical roles.
    pub fn allocatable_to(&self, role: &str) -> Self {
        Self(self.0.iter().filter(|entry| reservation_allows(&entry.identity, role)).cloned().collect())
    }

    /// Splits by the role each part is allocated to; parts allocated to no role come under `*`.
    pub fn by_allocation_role(&self) -> Vec<(String, Self)> {
        let mut split: Vec<(String, Self)> = Vec::new();
        for entry in &self.0 {
            let role = entry.identity.allocation_info.as_ref().and_then(|info| info.role.as_deref()).unwrap_or("*");
            match split.iter_mut().find(|(known, _)| known == role) {
                Some((_, part)) => part.add_entry(entry),
                None => split.push((role.to_owned(), Self(vec![entry.clone()]))),
            }
        }
        split
    }

    /// Returns the part that no one has reserved.
    pub fn unreserved(&self) -> Self {
        Self(self.0.iter().filter(|entry| reservation_role(&entry.identity).is_none()).cloned().collect())
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.0.iter().filter(move |entry| entry.identity.name == name)
    }

    fn take(&mut self, complete: bool, taken: Self) -> Option<Self> {
        if !complete {
            return None;
        }
        self.subtract(&taken);
        Some(taken)
    }

    fn mapped(&self, change: impl Fn(&mut Resource)) -> Self {
        let mut bag = Self::new();
        for entry in &self.0 {
            let mut entry = entry.clone();
            change(&mut entry.identity);
            bag.add_entry(&entry);
        }
        bag
    }

    fn add_entry(&mut self, entry: &Entry) {
        match self.0.iter_mut().find(|own| own.identity == entry.identity) {
            Some(own) => own.amount.add(&entry.amount),
            None if entry.amount.is_empty() => {}
            None => self.0.push(entry.clone()),
        }
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&entry.identity.name)?;
            if let Some(role) = entry.identity.allocation_info.as_ref().and_then(|info| info.role.as_ref()) {
                write!(f, "(allocated: {role})")?;
            }
            if let Some(role) = reservation_role(&entry.identity) {
                write!(f, "(reserved: {role})")?;
            }
            match &entry.amount {
                Amount::Scalar(amount) => write!(f, ":{amount}")?,
                Amount::Ranges(ranges) => {
                    let shown: Vec<String> = ranges.ranges().map(|(begin, end)| format!("{begin}-{end}")).collect();
                    write!(f, ":[{}]", shown.join(", "))?;
                }
                Amount::Set(items) => {
                    let shown: Vec<&str> = items.iter().map(String::as_str).collect();
                    write!(f, ":{{{}}}", shown.join(", "))?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the role that holds the reservation in force, `None` when unreserved.
pub fn reservation_role(resource: &Resource) -> Option<&str> {
    match resource.reservations.last() {
        Some(reservation) => reservation.role.as_deref(),
        None => resource.role.as_deref().filter(|role| *role != "*"),
    }
}

/// Builds a scalar resource that is neither allocated nor reserved.
pub fn scalar(name: &str, amount: Milli) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: Type::Scalar as i32,
        scalar: Some(value::Scalar { value: amount.to_f64() }),
        ..Resource::default()
    }
}

/// Builds a ranges resource that is neither allocated nor reserved.
pub fn ranges(name: &str, amount: &RangeSet) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: Type::Ranges as i32,
        ranges: Some(amount.to_message()),
        ..Resource::default()
    }
}

fn reservation_allows(identity: &Resource, role: &str) -> bool {
    match reservation_role(identity) {
        None => true,
        Some(reserved) => role == reserved || role.strip_prefix(reserved).is_some_and(|rest| rest.starts_with('/')),
    }
}
