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

/// What is known of the client's side of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sends {
    /// The request at hand came with one before it: the client waits for both answers.
    pub(super) several: bool,
    /// Nothing more comes, and the client waits for the answers to what it has sent.
    pub(super) closed: bool,
}

/// Ends when the client has gone, which is all that it can do before it has its answer but send more: that waits in
/// `left`, up to a page of it.
///
/// A client that closes its side behind several requests wants to read the answers, to the last of them too. Behind a
/// single one it can not be told from a client that has gone (see decision 0014).
pub(super) async fn gone<R: AsyncRead + Unpin>(pages: &Pages, from: &mut R, left: &mut Vec<u8>, sends: &mut Sends) {
    while left.len() < PAGE && !sends.closed {
        let mut room = (&mut *from).take((PAGE - left.len()) as u64);
        match read(pages, &mut room).await {
            Ok(page) if !page.is_empty() => left.extend_from_slice(&page),
            Ok(_) if sends.several || !left.is_empty() => sends.closed = true,
            Ok(_) | Err(_) => return,
        }
    }
    pending::<()>().await;
}
