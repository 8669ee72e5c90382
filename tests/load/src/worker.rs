//! The connections: each asks for its keys in turn and checks what comes back.

use std::{rc::Rc, time::Duration};

use tokio::{
    task::{JoinSet, LocalSet},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use super::{Answer, Client, Failure, Kind, Plan, Shared, Stream};

/// One connection and what it asks for.
struct Asker<'a> {
    plan: &'a Plan,
    client: Client,
    answer: Answer,
    request: Vec<u8>,
    body: Vec<u8>,
    count: usize,
}

/// Asks until told to stop, then waits for the answers that are due.
pub async fn ask(plan: Plan, shared: &std::sync::Arc<Shared>) {
    let plan = Rc::new(plan);
    let local = LocalSet::new();
    let mut connections = JoinSet::new();
    for connection in 0..plan.connections.min(plan.keys) {
        let (plan, shared) = (plan.clone(), shared.clone());
        connections.spawn_local_on(async move { connect_and_ask(connection, &plan, &shared).await }, &local);
    }
    local.run_until(connections.join_all()).await;
    shared.lock().stop = true;
    shared.round.notify_all();
}

async fn connect_and_ask(connection: usize, plan: &Plan, shared: &Shared) {
    let mut asker = Asker::new(connection, plan);
    let mut pace = plan.rate.map(|rate| pace(plan, connection, rate));
    for key in (connection..plan.keys).step_by(plan.connections).cycle() {
        // A request that waited for its connection has waited since it was due.
        let due = match &mut pace {
            Some(pace) => Some(pace.tick().await),
            None => None,
        };
        let Some(round) = shared.begin() else { return };
        let began = due.unwrap_or_else(Instant::now);
        let outcome = asker.exchange(key, shared).await;
        let failed = outcome.is_err();
        shared.finish(key, round, began.elapsed(), outcome);
        if failed {
            // Whoever refuses at once would otherwise be asked as often as the processor allows.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Ticks of one connection, spread evenly between those of the others.
fn pace(plan: &Plan, connection: usize, rate: u32) -> Interval {
    let connections = u32::try_from(plan.connections.min(plan.keys)).unwrap_or(u32::MAX);
    let every = Duration::from_secs(1) * connections / rate.max(1);
    let offset = every * u32::try_from(connection).unwrap_or(0) / connections.max(1);
    let mut interval = interval_at(Instant::now() + offset, every.max(Duration::from_micros(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
    interval
}

// === impl Asker ===

impl<'a> Asker<'a> {
    fn new(connection: usize, plan: &'a Plan) -> Self {
        let client = Client::new(plan.address, plan.timeout);
        Self {
            plan,
            client,
            answer: Answer::default(),
            request: Vec::new(),
            body: Vec::new(),
            count: connection,
        }
    }

    /// Asks for `key`, and says which server answered.
    async fn exchange(&mut self, key: usize, shared: &Shared) -> Result<&str, Failure> {
        // A count of its own: with the key's number, the same keys would always be POSTed.
        self.count += 1;
        let post = self.count * 37 % 100 < self.plan.posts;
        self.write(key, post);
        let mut outcome = self.client.exchange(&self.request, &mut self.answer).await;
        let unanswered = |failure: &Failure| matches!(failure.kind, Kind::Closed | Kind::Reset);
        if self.plan.resend && !post && self.client.reused() && outcome.as_ref().is_err_and(unanswered) {
            shared.resent();
            outcome = self.client.exchange(&self.request, &mut self.answer).await;
        }
        outcome?;
        if self.answer.status != 200 {
            let body = String::from_utf8_lossy(&self.answer.body);
            return Err(Failure::new(
                Kind::Status(self.answer.status),
                body.chars().take(200).collect::<String>(),
            ));
        }
        match self.plan.stream {
            _ if post => self.check_echo(),
            Some(stream) => self.check_stream(stream),
            None => self.check_home(),
        }
    }

    fn write(&mut self, key: usize, post: bool) {
        let Plan {
            address,
            header,
            path,
            body,
            stream,
            ..
        } = self.plan;
        self.request.clear();
        let (method, path) = match stream {
            _ if post => ("POST", "/echo".to_owned()),
            Some(Stream { chunks, interval }) => ("GET", format!("/stream?chunks={chunks}&interval={interval}")),
            None => ("GET", path.clone()),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{header}: key-{key}\r\n");
        self.request.extend_from_slice(head.as_bytes());
        if !post {
            return self.request.extend_from_slice(b"\r\n");
        }
        // Another body for each request, so that an answer to someone else's is not taken for ours.
        self.body.clear();
        let mark = format!("{key}/{}|", self.count).into_bytes();
        self.body.extend(mark.iter().cycle().take(*body));
        self.request
            .extend_from_slice(format!("Content-Length: {body}\r\n\r\n").as_bytes());
        self.request.extend_from_slice(&self.body);
    }

    fn check_echo(&self) -> Result<&str, Failure> {
        if self.answer.body != self.body {
            let (sent, got) = (self.body.len(), self.answer.body.len());
            return Err(Failure::new(
                Kind::Body,
                format!("{sent} bytes were sent, {got} other ones came back"),
            ));
        }
        match self.answer.server.as_str() {
            "" => Err(Failure::new(Kind::Server, "no X-Server-Id".to_owned())),
            server => Ok(server),
        }
    }

    /// Every part is there, in order, and of the same server.
    fn check_stream(&self, Stream { chunks, .. }: Stream) -> Result<&str, Failure> {
        let body = std::str::from_utf8(&self.answer.body).unwrap_or_default();
        let server = self.answer.server.as_str();
        let mut lines = body.lines();
        for chunk in 1..=chunks {
            let line = lines.next().unwrap_or_default();
            if line != format!("{chunk}/{chunks} from {server}") {
                return Err(Failure::new(
                    Kind::Body,
                    format!("part {chunk} of {server}'s stream is `{line}`"),
                ));
            }
        }
        match lines.next() {
            Some(more) => Err(Failure::new(
                Kind::Body,
                format!("`{more}` follows the last part of {server}'s stream"),
            )),
            None => Ok(server),
        }
    }

    fn check_home(&self) -> Result<&str, Failure> {
        let body = std::str::from_utf8(&self.answer.body).unwrap_or_default();
        let server = body
            .strip_prefix(r#"{"message":"Hello from Server: "#)
            .and_then(|rest| rest.strip_suffix(r#"","status":"successful"}"#))
            .filter(|server| !server.contains('"'));
        let header = self.answer.server.as_str();
        match server {
            None => Err(Failure::new(Kind::Body, body.chars().take(200).collect::<String>())),
            Some(server) if !header.is_empty() && header != server => Err(Failure::new(
                Kind::Server,
                format!("the body is of {server}, the header of {header}"),
            )),
            Some(server) => Ok(server),
        }
    }
}
