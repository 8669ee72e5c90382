//! Buffers, shared by the connections of a worker: one is held only while there is something in it.
//!
//! They come back when they are dropped, so that a worker under load allocates none.

use std::{
    cell::RefCell,
    io,
    ops::{Deref, DerefMut},
    rc::Rc,
    task::{Context, Poll},
};

use std::pin::Pin;
use tokio::io::{AsyncRead, ReadBuf};

/// Length of a page. A head has to fit, and with it the 64 KiB that many bodies have: what takes two reads and two writes
/// costs a quarter more.
pub(crate) const PAGE: usize = 128 * 1024;
/// Free pages that a worker keeps: 4 MiB.
const FREE: usize = 32;
/// Free scraps that a worker keeps, of 1 KiB for most heads: at most 4 MiB.
const FREE_SCRAPS: usize = 1024;
/// What a scrap begins with: most heads fit.
const SCRAP: usize = 1024;

/// The buffers of a worker that are free.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages(Rc<Free>);

#[derive(Debug, Default)]
struct Free {
    pages: RefCell<Vec<Vec<u8>>>,
    scraps: RefCell<Vec<Vec<u8>>>,
}

/// A buffer of [`PAGE`] bytes, the first `len` of which are filled. Goes back to its worker when dropped.
#[derive(Debug)]
pub(crate) struct Page {
    bytes: Vec<u8>,
    len: usize,
    home: Pages,
}

/// A buffer for a head: it grows as it has to. Goes back to its worker when dropped.
#[derive(Debug)]
pub(crate) struct Scrap {
    bytes: Vec<u8>,
    home: Pages,
}

/// Bytes that are kept for longer than a read: a page is too large for a few of them.
#[derive(Debug)]
pub(crate) enum Kept {
    /// In about as much memory as they take.
    Small(Scrap),
    /// Where they were read.
    Page(Page),
}

/// Fewer bytes than this are moved out of their page: copying is cheap then, and the page is free for others.
pub(crate) const SMALL: usize = 4096;

// === impl Kept ===

impl Kept {
    /// Keeps the first `n` bytes.
    pub(crate) fn first(page: Page, n: usize) -> Self {
        if n < SMALL {
            let mut scrap = page.home.scrap();
            scrap.extend_from_slice(&page[..n]);
            Self::Small(scrap)
        } else {
            Self::Page(page)
        }
    }
}

impl Deref for Kept {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Page(page) => page,
        }
    }
}

// === impl Pages ===

impl Pages {
    /// An empty page.
    pub(crate) fn take(&self) -> Page {
        let bytes = self.0.pages.borrow_mut().pop().unwrap_or_else(|| vec![0; PAGE]);
        Page {
            bytes,
            len: 0,
            home: self.clone(),
        }
    }

    /// An empty scrap.
    pub(crate) fn scrap(&self) -> Scrap {
        let bytes = self.0.scraps.borrow_mut().pop();
        Scrap {
            bytes: bytes.unwrap_or_else(|| Vec::with_capacity(SCRAP)),
            home: self.clone(),
        }
    }

    /// Reads into a page that is taken only when there is something to read. An empty page: the end.
    pub(crate) fn poll_read<R: AsyncRead + Unpin>(
        &self,
        reader: &mut R,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Page>> {
        let mut page = self.take();
        page.poll_fill(reader, cx).map_ok(|_| page)
    }
}

// === impl Page ===

impl Page {
    /// Reads behind what is there: how many bytes came. 0: the end, or the page is full.
    pub(crate) fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(free) = self.bytes.get_mut(self.len..) else {
            return Poll::Ready(Ok(0));
        };
        let mut buffer = ReadBuf::new(free);
        match Pin::new(reader).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                let n = buffer.filled().len();
                self.len += n;
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Adds as many of `bytes` as there is room for: how many.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(PAGE - self.len);
        self.bytes[self.len..self.len + n].copy_from_slice(&bytes[..n]);
        self.len += n;
        n
    }

    /// Forgets the first `n` bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        let n = n.min(self.len);
        self.bytes.copy_within(n..self.len, 0);
        self.len -= n;
    }
}

impl Deref for Page {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Page {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let mut free = self.home.0.pages.borrow_mut();
        if free.len() < FREE {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

// === impl Scrap ===

impl Deref for Scrap {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Scrap {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Scrap {
    fn drop(&mut self) {
        let mut free = self.home.0.scraps.borrow_mut();
        // One that had to grow for a long head would hold its memory for ever.
        if free.len() < FREE_SCRAPS && self.bytes.capacity() <= SMALL {
            self.bytes.clear();
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}
