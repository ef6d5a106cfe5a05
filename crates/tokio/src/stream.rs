//! Ends as readers, writers, streams and sinks.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use futures_core::Stream;
use futures_sink::Sink;
use shmkit_layout::ShmSafe;
use shmkit_pipe::{FrameReceiver, PipeError, Receiver, Sender};
use shmkit_roster::Judge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Async;
use crate::ends::received;
use crate::holder::armed;

/// The messages, up to the end of file.
impl<K: Judge + Unpin> Stream for Async<FrameReceiver<K>> {
    type Item = io::Result<Vec<u8>>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Vec<u8>>>> {
        let next = ready!(self.poll_with(context, |end| received(end.try_recv()), armed));
        Poll::Ready(next.and_then(|next| next).transpose())
    }
}

/// The values, up to the end of file.
impl<T: ShmSafe + Unpin, K: Judge + Unpin> Stream for Async<Receiver<T, K>> {
    type Item = io::Result<T>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<T>>> {
        let next = ready!(self.poll_with(context, |end| received(end.try_recv()), armed));
        Poll::Ready(next.and_then(|next| next).transpose())
    }
}

/// The values, each published at once: there is nothing to flush, and the end of file comes when the end is dropped.
impl<T: ShmSafe + Unpin, K: Judge + Unpin> Sink<T> for Async<Sender<T, K>> {
    type Error = io::Error;

    /// Ready when there is room for a value, which is this end's alone; or when sending one tells why not.
    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Async::poll_ready(&mut *self, context)
    }

    fn start_send(mut self: Pin<&mut Self>, value: T) -> io::Result<()> {
        Async::get_mut(&mut *self).try_send(value).map_err(io::Error::from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// As a file: what there is, and nothing at the end of file. A sender that died is an error.
impl<K: Judge + Unpin> AsyncRead for Async<Receiver<u8, K>> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = buffer.initialize_unfilled();
        let attempt = |end: &mut Receiver<u8, K>| received(end.try_recv_batch(bytes));
        let read = ready!(self.poll_with(context, attempt, armed))??;
        buffer.advance(read.unwrap_or(0));
        Poll::Ready(Ok(()))
    }
}

/// As a file: what there is room for. Each write is published at once; to shut down is to drop the end.
impl<K: Judge + Unpin> AsyncWrite for Async<Sender<u8, K>> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let attempt = |end: &mut Sender<u8, K>| match end.try_send_batch(bytes) {
            Err(PipeError::Full) => None,
            sent => Some(sent.map_err(io::Error::from)),
        };
        Poll::Ready(ready!(self.poll_with(context, attempt, armed))?)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
