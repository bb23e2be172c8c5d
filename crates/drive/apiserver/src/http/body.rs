//! Bodies of answers that are not made at once: lists and watches.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use km_api::Resource;
use km_net::body::BodyError;
use serde_json::json;

use crate::read::Page;

/// Bytes of a list that are copied together before they are handed to the connection.
const CHUNK_BYTES: usize = 64 << 10;

/// Makes the body of a list: the stored bytes of its objects, one after the other.
pub(crate) fn list(resource: &Resource, page: Page) -> km_net::Body {
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if !page.continue_token.is_empty() {
        metadata["continue"] = page.continue_token.into();
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let head = format!(
        r#"{{"kind":"{}List","apiVersion":"{}","metadata":{metadata},"items":["#,
        resource.kind,
        resource.api_version()
    );
    let len = head.len() + page.items.iter().map(|item| item.len() + 1).sum::<usize>().max(1) - 1 + 3;
    let body = ListBody { head: Some(head), items: page.items.into_iter(), first: true, ended: false, len };
    body.boxed_unsync()
}

struct ListBody {
    head: Option<String>,
    items: std::vec::IntoIter<Bytes>,
    first: bool,
    ended: bool,
    /// Bytes not yet handed out.
    len: usize,
}

impl ListBody {
    fn chunk(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES.min(self.len));
        if let Some(head) = self.head.take() {
            chunk.put_slice(head.as_bytes());
        }
        while chunk.len() < CHUNK_BYTES {
            let Some(item) = self.items.next() else {
                chunk.put_slice(b"]}\n");
                self.ended = true;
                break;
            };
            if !std::mem::replace(&mut self.first, false) {
                chunk.put_u8(b',');
            }
            chunk.put_slice(&item);
        }
        self.len -= chunk.len();
        Some(chunk.freeze())
    }
}

impl Body for ListBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.chunk().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.len).unwrap_or(u64::MAX))
    }
}

/// Makes a body of a stream of chunks that ends when the stream does.
pub(crate) fn stream<S>(chunks: S) -> km_net::Body
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    StreamBody { chunks: Box::pin(chunks) }.boxed_unsync()
}

struct StreamBody<S> {
    chunks: Pin<Box<S>>,
}

impl<S: Stream<Item = Bytes>> Body for StreamBody<S> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.chunks.as_mut().poll_next(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use km_api::resource::CONFIG_MAPS;
    use km_base::Revision;

    use super::*;

    #[tokio::test]
    async fn list_is_json_of_the_announced_length() {
        for count in [0, 1, 2, 30_000] {
            let items = vec![Bytes::from_static(br#"{"metadata":{"name":"x"}}"#); count];
            let page = Page { revision: Revision(7), items, continue_token: String::new(), remaining: None };
            let body = list(&CONFIG_MAPS, page);
            let announced = body.size_hint().exact().unwrap();
            let bytes = body.collect().await.unwrap().to_bytes();
            assert_eq!(bytes.len() as u64, announced);
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(value["items"].as_array().unwrap().len(), count);
            assert_eq!(value["metadata"]["resourceVersion"], "7");
        }
    }
}
