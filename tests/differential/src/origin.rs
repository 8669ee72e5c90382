//! An origin that keeps the bytes it got, and answers what a case says.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, spawn_local},
    time::timeout,
};

use crate::{
    case::{Case, Text},
    client::Activity,
    message::Message,
};

/// How long a proxy may take to end a connection that has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// What came on one connection.
pub(crate) type Recorded = Rc<RefCell<Vec<u8>>>;

/// A server behind one proxy.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    script: Rc<RefCell<Script>>,
    accepting: JoinHandle<()>,
}

/// What the case at hand is answered with, and what came so far.
struct Script {
    answer: Vec<u8>,
    end: bool,
    connections: Vec<(Recorded, JoinHandle<()>)>,
    activity: Activity,
    ending: Rc<Notify>,
}

// === impl Script ===

impl Default for Script {
    fn default() -> Self {
        Self {
            answer: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(),
            end: false,
            connections: Vec::new(),
            activity: Activity::default(),
            ending: Rc::default(),
        }
    }
}

// === impl Origin ===

impl Origin {
    /// Listens on a free port.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let script = Rc::new(RefCell::new(Script::default()));
        Ok(Self {
            address: listener.local_addr()?,
            accepting: spawn_local(accept(listener, Rc::clone(&script))),
            script,
        })
    }

    /// Answers as `case` says from now on, on new connections only: what came before, such as the question whether the
    /// proxy serves, is no part of it.
    pub(crate) async fn play(&self, case: &Case, activity: &Activity) -> anyhow::Result<()> {
        drop(self.stop().await);
        let usual = Script::default();
        *self.script.borrow_mut() = Script {
            answer: case.answer.as_ref().map_or(Ok(usual.answer), Text::bytes)?,
            end: case.end,
            activity: activity.clone(),
            ..usual
        };
        Ok(())
    }

    /// Ends all connections and tells what came on each, in the order they were opened. The proxy has ended them too by
    /// then: the next case is not to meet one that is about to end.
    pub(crate) async fn stop(&self) -> Vec<Vec<u8>> {
        let script = self.script.take();
        script.ending.notify_waiters();
        let mut came = Vec::new();
        for (recorded, mut served) in script.connections {
            if timeout(PATIENCE, &mut served).await.is_err() {
                served.abort();
            }
            came.push(recorded.take());
        }
        came
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, script: Rc<RefCell<Script>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let recorded = Recorded::default();
        let served = spawn_local(serve(stream, Rc::clone(&recorded), Rc::clone(&script)));
        script.borrow_mut().connections.push((recorded, served));
    }
}

/// Reads to the end, and answers each request once it is whole.
async fn serve(mut stream: TcpStream, recorded: Recorded, script: Rc<RefCell<Script>>) {
    // Without it an answer may wait for the peer's acknowledgement; where it fails it only takes longer.
    let _ = stream.set_nodelay(true);
    let mut page = vec![0; 1 << 16];
    let ending = Rc::clone(&script.borrow().ending);
    tokio::select! {
        () = converse(&mut stream, &mut page, &recorded, &script) => {}
        () = ending.notified() => {}
    }
    // The peer may have gone before, and what it still sends came too late.
    let _ = stream.shutdown().await;
    while let Ok(1..) = stream.read(&mut page).await {}
}

/// Until the peer ends the connection, or the case wants it ended.
async fn converse(stream: &mut TcpStream, page: &mut [u8], recorded: &Recorded, script: &RefCell<Script>) {
    let mut read = 0;
    while let Ok(n @ 1..) = stream.read(page).await {
        recorded.borrow_mut().extend_from_slice(&page[..n]);
        script.borrow().activity.note();
        loop {
            let next = Message::request(recorded.borrow().get(read..).unwrap_or_default());
            let Some((Message { complete: true, .. }, length)) = next else {
                break;
            };
            read += length;
            let (answer, end) = {
                let script = script.borrow();
                (script.answer.clone(), script.end)
            };
            if stream.write_all(&answer).await.is_err() || end {
                return;
            }
            script.borrow().activity.note();
        }
    }
}
