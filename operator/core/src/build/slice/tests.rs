use std::net::SocketAddr;

use jiff::Timestamp;

use super::*;
use crate::{InstanceId, testing::valid};

fn instance(number: usize, phase: Phase, address: &str) -> Instance {
    Instance {
        id: InstanceId(format!("id-{number}")),
        name: format!("web-{number}-abcde"),
        seat: format!("Web-{number}").parse().unwrap(),
        template: "t".to_owned(),
        phase,
        address: address.parse().ok(),
        created: Timestamp::UNIX_EPOCH,
        trouble: None,
    }
}

fn many(numbers: impl IntoIterator<Item = usize>) -> Vec<Instance> {
    let at = |number| SocketAddr::from(([10, 0, 1, u8::try_from(number % 250).unwrap()], 5000)).to_string();
    numbers
        .into_iter()
        .map(|number| instance(number, Phase::Ready, &at(number)))
        .collect()
}

fn sizes(placed: &Placed) -> Vec<usize> {
    placed.slices.iter().map(|slice| slice.endpoints.len()).collect()
}

#[test]
fn an_endpoint_tells_where_a_member_is_and_whether_it_may_be_asked() {
    let pool = valid("{}");
    let instances = [
        instance(2, Phase::Ending, "10.0.0.2:5000"),
        instance(0, Phase::Ready, "10.0.0.7:5000"),
        instance(1, Phase::Unready, "10.0.0.1:5000"),
        instance(3, Phase::Failed, "10.0.0.3:5000"),
        instance(4, Phase::Starting, "none yet"),
    ];
    let placed = Slices::default().place(&pool, &instances);
    let [slice] = placed.slices.as_slice() else {
        panic!("{placed:?}");
    };
    let told: Vec<_> = slice
        .endpoints
        .iter()
        .map(|it| {
            let conditions = it.conditions.as_ref().unwrap();
            (
                it.hostname.as_deref().unwrap(),
                it.addresses[0].as_str(),
                conditions.ready.unwrap(),
                conditions.terminating.unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("web-0", "10.0.0.7", true, false),
            ("web-1", "10.0.0.1", false, false),
            ("web-2", "10.0.0.2", false, true),
        ],
        "by seat; whoever has ended or has no address is left out"
    );
    let labels = slice.metadata.labels.as_ref().unwrap();
    assert_eq!(labels[MANAGED_BY.0], MANAGED_BY.1);
    assert_eq!(labels[SERVICE_NAME], "web-members");
    assert_eq!(slice.metadata.owner_references.as_ref().unwrap()[0].uid, "u-1");
    assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(5000));
}

#[test]
fn an_endpoint_stays_in_its_slice_whatever_comes_and_goes_before_it() {
    let pool = valid("{}");
    let mut slices = Slices::default();
    assert_eq!(sizes(&slices.place(&pool, &many(0..250))), [100, 100, 50]);
    let fewer: Vec<_> = (1..250).chain(300..302).collect();
    let before = slices.clone();
    let placed = slices.place(&pool, &many(fewer));
    assert_eq!(
        sizes(&placed),
        [100, 100, 51],
        "the hole is filled, the rest goes where room is"
    );
    for (place, shelf) in &before.0 {
        let kept = |id: &&String| *id != "id-0" && !slices.0[place].ids.contains(*id);
        assert_eq!(shelf.ids.iter().find(kept), None, "moved");
    }
    let placed = slices.place(&pool, &many(300..301));
    assert_eq!(sizes(&placed), [1]);
    assert_eq!(placed.gone.len(), 2, "empty ones are to be deleted: {:?}", placed.gone);
    assert_eq!(
        slices.place(&pool, &[]).gone,
        [placed.slices[0].metadata.name.clone().unwrap()]
    );
}

#[test]
fn another_port_or_family_has_slices_of_its_own() {
    let pool = valid("{}");
    let mut instances = many(0..2);
    instances.push(instance(2, Phase::Ready, "10.0.0.2:6000"));
    instances.push(instance(3, Phase::Ready, "[fd00::3]:5000"));
    let placed = Slices::default().place(&pool, &instances);
    let told: Vec<_> = placed
        .slices
        .iter()
        .map(|slice| {
            let port = slice.ports.as_ref().unwrap()[0].port.unwrap();
            let name = slice.metadata.name.as_deref().unwrap();
            (name, slice.address_type.as_str(), port, slice.endpoints.len())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("web-members-ipv4-0", "IPv4", 5000, 2),
            ("web-members-ipv4-1", "IPv4", 6000, 1),
            ("web-members-ipv6-0", "IPv6", 5000, 1),
        ]
    );
}

#[test]
fn what_an_earlier_process_wrote_is_gone_on_with() {
    let pool = valid("{}");
    let mut slices = Slices::default();
    let instances = many(0..150);
    let mut placed = slices.place(&pool, &instances);
    let mut found = Slices::found("web", &placed.slices);
    assert_eq!(found, slices);
    placed.slices[0].metadata.name = Some("web-members-x7k2p".to_owned());
    assert_eq!(
        Slices::found("web", &placed.slices).0.len(),
        1,
        "one of the control plane's"
    );
    assert_eq!(
        found.place(&pool, &instances),
        slices.place(&pool, &instances),
        "nothing to write"
    );
}
