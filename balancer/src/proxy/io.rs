//! Reading and writing whole pieces.

use std::{
    future::{pending, poll_fn},
    io::{self, IoSlice},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::tcp::WriteHalf,
};

use crate::page::{PAGE, Page, Pages};

/// A write that failed, after so many bytes were taken.
#[derive(Debug)]
pub(super) struct WriteError {
    pub(super) taken: usize,
    pub(super) error: io::Error,
}

/// Writes `first`, then `second`: with one system call where the kernel has room.
pub(super) async fn write_all(to: &WriteHalf<'_>, first: &[u8], second: &[u8]) -> Result<(), WriteError> {
    let mut taken = 0;
    while taken < first.len() + second.len() {
        let rest = first.get(taken..).unwrap_or_default();
        let behind = second.get(taken.saturating_sub(first.len())..).unwrap_or_default();
        let written = match (rest.is_empty(), behind.is_empty()) {
            (true, _) => to.try_write(behind),
            (_, true) => to.try_write(rest),
            _ => to.try_write_vectored(&[IoSlice::new(rest), IoSlice::new(behind)]),
        };
        match written {
            Ok(0) => {
                return Err(WriteError {
                    taken,
                    error: io::ErrorKind::WriteZero.into(),
                });
            }
            Ok(n) => taken += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                to.writable().await.map_err(|error| WriteError { taken, error })?;
            }
            Err(error) => return Err(WriteError { taken, error }),
        }
    }
    Ok(())
}

/// What comes next, in a page of its own. An empty one: the end.
pub(super) async fn read<R: AsyncRead + Unpin>(pages: &Pages, from: &mut R) -> io::Result<Page> {
    poll_fn(|cx| pages.poll_read(from, cx)).await
}

/// Ends when the client has gone, which is all that it can do before it has its answer but send more: that waits in
/// `left`, up to a page of it.
///
/// A client that closes its side behind several requests wants to read the answers: `half_closed` says so, from then on
/// for the last of them too. Behind a single one it can not be told from a client that has gone (see decision 0014).
pub(super) async fn gone<R: AsyncRead + Unpin>(
    pages: &Pages,
    from: &mut R,
    left: &mut Vec<u8>,
    half_closed: &mut bool,
) {
    while left.len() < PAGE && !*half_closed {
        let mut room = (&mut *from).take((PAGE - left.len()) as u64);
        match read(pages, &mut room).await {
            Ok(page) if !page.is_empty() => left.extend_from_slice(&page),
            Ok(_) if !left.is_empty() => *half_closed = true,
            Ok(_) | Err(_) => return,
        }
    }
    pending::<()>().await;
}
