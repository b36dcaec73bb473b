use proptest::prelude::*;

use super::*;

fn broker(id: i32) -> Broker {
    Broker { id, host: format!("b{id}.example"), port: 9092 }
}

/// Places a broker and binds what is asked.
fn seat(ports: &mut Ports, broker: &Broker) -> Result<u16, PortsFull> {
    Ok(match ports.place(broker)? {
        Place::Has { port } | Place::Takes { port, .. } => port,
        Place::Bind { port } => {
            ports.bound(broker, port);
            port
        }
    })
}

#[test]
fn a_broker_that_moves_keeps_its_port_and_gets_its_new_target() {
    let mut ports = Ports::within(9100..=9102);
    assert_eq!(ports.place(&broker(7)), Ok(Place::Bind { port: 9100 }));
    ports.bound(&broker(7), 9100);
    let moved = Broker { host: "elsewhere.example".into(), ..broker(7) };
    ports.revealed(std::slice::from_ref(&moved), false);
    assert_eq!(ports.target(9100), Some(&moved));
    assert_eq!(ports.place(&moved), Ok(Place::Has { port: 9100 }));
}

#[test]
fn a_port_that_cannot_be_bound_is_not_offered_again() {
    let mut ports = Ports::within(9100..=9101);
    ports.unusable(9100);
    assert_eq!(seat(&mut ports, &broker(1)), Ok(9101));
    assert_eq!(ports.place(&broker(2)), Err(PortsFull { usable: 1 }));
}

#[test]
fn only_the_broker_gone_longest_gives_its_port_and_only_when_none_is_free() {
    let mut ports = Ports::within(9100..=9102);
    for id in 1..=3 {
        seat(&mut ports, &broker(id)).unwrap();
    }
    assert_eq!(ports.place(&broker(4)), Err(PortsFull { usable: 3 }), "all are there");
    ports.revealed(&[broker(1), broker(3)], false);
    assert_eq!(ports.place(&broker(4)), Err(PortsFull { usable: 3 }), "the list was not complete");
    ports.revealed(&[broker(1), broker(3)], true);
    ports.revealed(&[broker(3)], true);
    assert_eq!(ports.target(9101), Some(&broker(2)), "gone, but the port is not needed yet");
    assert_eq!(ports.place(&broker(4)), Ok(Place::Takes { port: 9101, from: broker(2) }));
    assert_eq!(ports.target(9101), Some(&broker(4)));
    ports.revealed(&[broker(1), broker(3), broker(4)], true);
    assert_eq!(ports.place(&broker(5)), Err(PortsFull { usable: 3 }), "the other came back");
}

#[test]
fn ephemeral_ports_are_the_systems_choice_and_then_stay() {
    let mut ports = Ports::ephemeral();
    assert_eq!(ports.place(&broker(1)), Ok(Place::Bind { port: 0 }));
    ports.bound(&broker(1), 40123);
    assert_eq!(ports.place(&broker(1)), Ok(Place::Has { port: 40123 }));
    assert_eq!(ports.iter().collect::<Vec<_>>(), [(40123, &broker(1))]);
}

proptest! {
    /// Whatever the cluster does: no two brokers share a port, and a broker that was never missing never moves.
    #[test]
    fn ports_are_stable_and_never_shared(lists in prop::collection::vec(prop::collection::btree_set(0..8_i32, 1..5), 1..20)) {
        let mut ports = Ports::within(1..=5);
        let mut before: BTreeMap<i32, u16> = BTreeMap::new();
        for list in lists {
            let brokers: Vec<Broker> = list.iter().copied().map(broker).collect();
            ports.revealed(&brokers, true);
            let now: BTreeMap<i32, u16> =
                brokers.iter().map(|broker| (broker.id, seat(&mut ports, broker).unwrap())).collect();
            let distinct: BTreeSet<u16> = ports.iter().map(|(port, _)| port).collect();
            prop_assert_eq!(distinct.len(), ports.iter().count());
            for (id, port) in &now {
                if let Some(old) = before.get(id) {
                    prop_assert_eq!(old, port);
                }
                prop_assert_eq!(ports.target(*port).map(|broker| broker.id), Some(*id));
            }
            before = now;
        }
    }
}
