//! Properties of RecordIO and of resource arithmetic.

use km_mesos::Resource;
use km_mesos::ranges::RangeSet;
use km_mesos::recordio::{Decoder, RecordError, encode};
use km_mesos::resource::ReservationInfo;
use km_mesos::resources::{Milli, Resources, ranges, scalar};
use proptest::prelude::*;

fn role_of(index: u8) -> Vec<ReservationInfo> {
    match index {
        0 => Vec::new(),
        1 => vec![ReservationInfo { role: Some("web".to_owned()), ..ReservationInfo::default() }],
        _ => vec![ReservationInfo { role: Some("web/shop".to_owned()), ..ReservationInfo::default() }],
    }
}

fn any_resource() -> impl Strategy<Value = Resource> {
    let scalars = (prop_oneof![Just("cpus"), Just("mem")], 1_i64..1_000_000, 0_u8..3)
        .prop_map(|(name, amount, role)| Resource { reservations: role_of(role), ..scalar(name, Milli(amount)) });
    let ports = (31_000_u64..31_060, 0_u64..20, 0_u8..2).prop_map(|(begin, len, role)| Resource {
        reservations: role_of(role),
        ..ranges("ports", &RangeSet::from_range(begin, begin + len))
    });
    prop_oneof![scalars, ports]
}

fn any_resources() -> impl Strategy<Value = Resources> {
    prop::collection::vec(any_resource(), 0..8).prop_map(|messages| Resources::from_messages(&messages))
}

proptest! {
    #[test]
    fn records_survive_any_cut(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10),
        cuts in prop::collection::vec(1_usize..64, 1..20),
    ) {
        let stream: Vec<u8> = records.iter().flat_map(|record| encode(record)).collect();
        let mut decoder = Decoder::new(200);
        let mut found = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            found.extend(decoder.push(now).expect("valid stream"));
            rest = later;
        }
        prop_assert!(decoder.is_between_records());
        prop_assert_eq!(found, records);
    }

    #[test]
    fn adding_then_subtracting_changes_nothing_without_shared_ports(mut own in any_resources(), amount in 1_i64..500_000) {
        let before = own.clone();
        let other = Resources::from_messages(&[scalar("cpus", Milli(amount))]);
        own.add(&other);
        prop_assert!(own.contains(&other) && own.contains(&before));
        own.subtract(&other);
        prop_assert_eq!(own, before);
    }

    #[test]
    fn taken_and_left_make_the_whole(own in any_resources(), amount in 1_i64..1_500_000, port in 31_000_u64..31_080) {
        let mut left = own.clone();
        let mut taken = Resources::new();
        let cpus = left.take_scalar("cpus", Milli(amount));
        prop_assert_eq!(cpus.is_some(), own.scalar("cpus") >= Milli(amount));
        if let Some(cpus) = cpus {
            prop_assert_eq!(cpus.scalar("cpus"), Milli(amount));
            taken.add(&cpus);
        }
        let wanted = RangeSet::from_range(port, port);
        let ports = left.take_ranges("ports", &wanted);
        prop_assert_eq!(ports.is_some(), own.ranges("ports").contains(port));
        if let Some(ports) = ports { taken.add(&ports); }
        left.add(&taken);
        prop_assert_eq!(left, own);
    }

    #[test]
    fn messages_round_trip(own in any_resources()) {
        prop_assert_eq!(Resources::from_messages(&own.to_messages()), own);
    }

    #[test]
    fn range_sets_behave_as_sets(a in prop::collection::btree_set(0_u64..60, 0..40), b in prop::collection::btree_set(0_u64..60, 0..40)) {
        let set = |numbers: &std::collections::BTreeSet<u64>| {
            let mut all = RangeSet::new();
            for number in numbers { all.add(&RangeSet::from_range(*number, *number)); }
            all
        };
        let (mut left, right) = (set(&a), set(&b));
        prop_assert_eq!(left.contains_all(&right), a.is_superset(&b));
        left.subtract(&right);
        prop_assert_eq!(left.numbers().collect::<std::collections::BTreeSet<_>>(), a.difference(&b).copied().collect());
        let mut rest = left.clone();
        let lowest = rest.take_lowest(3);
        prop_assert_eq!(lowest.is_some(), left.count() >= 3);
    }
}

#[test]
fn three_decimals_are_exact() {
    let tenth = Resources::from_messages(&[scalar("cpus", Milli::from_f64(0.1))]);
    let mut sum = Resources::new();
    for _ in 0..3 {
        sum.add(&tenth);
    }
    assert_eq!(sum, Resources::from_messages(&[scalar("cpus", Milli::from_f64(0.3))]));
    assert_eq!(Milli::from_f64(0.0004), Milli(0));
    assert_eq!(Milli::from_f64(0.0005), Milli(1));
}

#[test]
fn reserved_resources_are_taken_first_and_roles_inherit() {
    let reserved = Resource { reservations: role_of(1), ..scalar("cpus", Milli(1_000)) };
    let mut own = Resources::from_messages(&[scalar("cpus", Milli(1_000)), reserved]);
    let taken = own.take_scalar("cpus", Milli(1_500)).expect("enough");
    assert_eq!(taken.to_string(), "cpus(reserved: web):1; cpus:0.5");
    assert_eq!(taken.allocatable_to("web/shop").scalar("cpus"), Milli(1_500));
    assert_eq!(taken.allocatable_to("webshop").scalar("cpus"), Milli(500));
}

#[test]
fn bad_record_streams_are_refused() {
    let fails = |bytes: &[u8]| Decoder::new(10).push(bytes).expect_err("refused");
    assert_eq!(fails(b"x\n"), RecordError::Length);
    assert_eq!(fails(b"\n"), RecordError::Length);
    assert_eq!(fails(b"1111111111111111111111"), RecordError::Length);
    assert_eq!(fails(b"11\n"), RecordError::TooLong { len: 11, max: 10 });
}
