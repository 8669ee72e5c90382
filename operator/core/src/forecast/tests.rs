use super::*;
use crate::{
    BalancerReport,
    testing::{World as Scripted, at, valid},
};

/// What is done, in order, one line per action.
fn told(forecast: &Forecast) -> Vec<String> {
    let line = |action: &Action| match action {
        Action::Publish { document, .. } => {
            let members = document.members.iter().map(|member| match &member.pod {
                Some(_) => member.name.to_string(),
                None => format!("({})", member.name),
            });
            format!("route {}", members.collect::<Vec<_>>().join(" "))
        }
        Action::Create(create) => format!("start {} {:?}", create.seat, create.reason),
        Action::Delete(delete) => format!("end {} {:?}", delete.seat, delete.reason),
    };
    forecast.passes.iter().flatten().map(line).collect()
}

fn from(before: &str, after: &str) -> Forecast {
    let settled = Scripted::settled(valid(before));
    let forecast = forecast(&valid(after), &settled.seen, at(5));
    assert!(forecast.settled, "{forecast:?}");
    assert_eq!(plan(&valid(after), &forecast.end, at(6)).actions, [], "nothing is left");
    forecast
}

#[test]
fn a_settled_pool_has_nothing_to_do() {
    assert_eq!(from("{}", "{}").passes, Vec::<Vec<Action>>::new());
}

#[test]
fn a_pool_that_does_not_run_yet_is_built_up() {
    let forecast = forecast(&valid("{replicas: 2}"), &Observed::default(), at(5));
    let told = told(&forecast);
    assert_eq!(
        told,
        [
            "route ",
            "start web-0 SeatEmpty",
            "start web-1 SeatEmpty",
            "route web-0 web-1"
        ]
    );
}

#[test]
fn scaling_up_starts_all_and_lets_them_join_together() {
    let told = told(&from("{replicas: 1}", "{replicas: 3}"));
    assert_eq!(
        told,
        [
            "start web-1 SeatEmpty",
            "start web-2 SeatEmpty",
            "route web-0 web-1 web-2"
        ]
    );
}

#[test]
fn scaling_down_takes_seats_out_of_the_table_before_their_members_end() {
    let told = told(&from("{replicas: 3}", "{replicas: 1}"));
    assert_eq!(told, ["route web-0", "end web-1 ScaledDown", "end web-2 ScaledDown"]);
}

#[test]
fn another_template_hands_over_seat_by_seat() {
    let new = "{replicas: 2, template: {spec: {containers: [{name: main, image: v2}]}}}";
    let told = told(&from("{replicas: 2}", new));
    assert_eq!(
        told,
        [
            "start web-0 Outdated",
            "route web-0 web-1",
            "end web-0 Replaced",
            "start web-1 Outdated",
            "route web-0 web-1",
            "end web-1 Replaced"
        ]
    );
}

#[test]
fn an_update_that_breaks_first_shows_the_seat_empty_meanwhile() {
    let new = "{replicas: 1, update: {maxSurge: 0, maxUnavailable: 1}, \
        template: {spec: {containers: [{name: main, image: v2}]}}}";
    let told = told(&from("{replicas: 1}", new));
    let empty = told.iter().position(|line| line == "route (web-0)");
    let end = told.iter().position(|line| line == "end web-0 Outdated");
    assert!(empty.is_some() && empty < end, "{told:?}");
}

#[test]
fn it_names_what_will_be_made() {
    let world = Scripted::settled(valid("{replicas: 1}"));
    let next = valid("{replicas: 2}");
    let promised = forecast(&next, &world.seen, at(5));
    let mut real = world.clone();
    real.pool = next;
    real.run(at(9));
    real.all_ready();
    real.run(at(9));
    let pods = |seen: &Observed| -> Vec<Option<String>> {
        let members = &seen.routing.as_ref().unwrap().members;
        members.iter().map(|member| member.pod.clone()).collect()
    };
    assert_eq!(pods(&promised.end), pods(&real.seen));
}

#[test]
fn what_is_on_its_way_is_waited_for() {
    let mut world = Scripted::settled(valid("{replicas: 2}"));
    world.seen.balancers[0].in_flight = vec![("web-1-x".to_owned(), 3)];
    let pool = valid("{replicas: 2}");
    world.instance("id-2").phase = Phase::Failed;
    world.run(at(2));
    let forecast = forecast(&pool, &world.seen, at(3));
    assert!(forecast.settled);
    let reports: Vec<BalancerReport> = forecast.end.balancers;
    assert!(reports[0].in_flight.is_empty());
    let ready = |it: &Instance| it.phase == Phase::Ready;
    assert_eq!(forecast.end.instances.iter().filter(|it| ready(it)).count(), 2);
}

#[test]
fn a_paused_update_begins_nothing() {
    let new = "{replicas: 2, update: {paused: true}, template: {spec: {containers: [{name: main, image: v2}]}}}";
    assert_eq!(told(&from("{replicas: 2}", new)), Vec::<String>::new());
}

#[test]
fn a_member_that_is_not_ready_stays_so() {
    let mut world = Scripted::settled(valid("{replicas: 2}"));
    world.instance("id-2").phase = Phase::Unready;
    let forecast = forecast(&valid("{replicas: 2}"), &world.seen, at(3));
    let unready = |it: &&Instance| it.phase == Phase::Unready;
    assert_eq!(forecast.end.instances.iter().filter(unready).count(), 1);
}
