//! Reading whole pieces.

use std::{
    future::{pending, poll_fn},
    io,
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::page::{PAGE, Page, Pages};

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
