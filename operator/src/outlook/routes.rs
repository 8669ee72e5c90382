//! What changes from one routing document to the next, seat by seat.

use lbpool_api::{MemberName, RoutingDocument, routing::RoutedMember};
use serde::{Deserialize, Serialize};

/// What changes for one seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// The seat.
    pub seat: MemberName,
    /// How it changes.
    pub way: Way,
    /// Who sits in it from then on.
    pub pod: Option<String>,
}

/// How a seat changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// It gets keys for the first time.
    Joins,
    /// It gives its keys away.
    Leaves,
    /// Another member sits in it: no key moves.
    HandsOver,
    /// Nobody sits in it for now: no key moves, `whenAway` decides.
    Empties,
    /// Somebody serves in it again.
    Returns,
    /// It gets another weight.
    Weighs,
}

/// The seats that change, those that leave last.
pub(super) fn turns(before: Option<&RoutingDocument>, after: &RoutingDocument) -> Vec<Turn> {
    let was = before.map(|document| document.members.as_slice()).unwrap_or_default();
    let find = |list: &[RoutedMember], seat: &RoutedMember| {
        list.iter().find(|other| other.name.host() == seat.name.host()).cloned()
    };
    let turn = |member: &RoutedMember, way| Turn {
        seat: member.name.clone(),
        way,
        pod: member.pod.clone(),
    };
    let changed = after.members.iter().filter_map(|is| {
        let way = way(find(was, is).as_ref(), is)?;
        Some(turn(is, way))
    });
    let left = was.iter().filter(|was| find(&after.members, was).is_none());
    let left = left.map(|was| Turn {
        pod: None,
        ..turn(was, Way::Leaves)
    });
    changed.chain(left).collect()
}

fn way(was: Option<&RoutedMember>, is: &RoutedMember) -> Option<Way> {
    let Some(was) = was else { return Some(Way::Joins) };
    let served = |member: &RoutedMember| member.state == lbpool_api::status::SeatState::Serving;
    if was.weight != is.weight {
        Some(Way::Weighs)
    } else if served(was) && !served(is) {
        Some(Way::Empties)
    } else if !served(was) && served(is) {
        Some(Way::Returns)
    } else if was.pod != is.pod {
        Some(Way::HandsOver)
    } else {
        None
    }
}
