//! A process that says what asked it to end, and then takes its time: `tests/signals.rs` runs it.

use std::io::{Write as _, stdout};

use lbpool_daemon::Shutdown;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let patient = std::env::args().nth(1).is_none();
    let shutdown = Shutdown::on_signals()?;
    writeln!(stdout(), "listening")?;
    writeln!(stdout(), "{}", shutdown.requested().await.as_str())?;
    if patient {
        std::future::pending::<()>().await;
    }
    Ok(())
}
