//! Reading within a bound, and streams that are slow, abandoned or broken off.

use bytes::Bytes;
use km_net::body::{self, ReadBodyError, ReaderGone};

#[tokio::test]
async fn the_sender_of_a_body_that_is_too_large_is_heard_out() {
    let (sender, long) = body::channel(1);
    let sending = async {
        for _ in 0..10 {
            sender.send(Bytes::from_static(b"12345")).await.expect("the reader is there until the end");
        }
        drop(sender);
    };
    let (read, ()) = tokio::join!(body::read_limited(long, 12), sending);
    assert!(matches!(read, Err(body::ReadBodyError::TooLarge { bytes_max: 12 })));
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound() {
    assert_eq!(body::read_limited(body::full("12345"), 5).await.expect("fits"), "12345");
    let error = body::read_limited(body::full("123456"), 5).await.expect_err("too large");
    assert_eq!(error.to_string(), "the body is larger than 5 bytes");
    assert!(body::read_limited(body::empty(), 0).await.expect("fits").is_empty());
}

#[tokio::test]
async fn a_channel_delivers_in_order_and_holds_only_its_bound() {
    let (sender, stream) = body::channel(2);
    sender.send(Bytes::from("a")).await.expect("room");
    sender.try_send(Bytes::from("b")).expect("room");
    assert_eq!(sender.try_send(Bytes::from("c")), Err(Bytes::from("c")));
    assert!(!sender.is_closed());
    drop(sender);
    assert_eq!(body::read_limited(stream, 9).await.expect("ended well"), "ab");
}

#[tokio::test]
async fn the_feeder_notices_that_the_reader_has_gone() {
    let (sender, stream) = body::channel(2);
    drop(stream);
    assert!(sender.is_closed());
    assert_eq!(sender.send(Bytes::from("a")).await, Err(ReaderGone));
}

#[tokio::test]
async fn a_stream_that_is_broken_off_is_not_taken_for_complete() {
    let (sender, stream) = body::channel(2);
    sender.send(Bytes::from("half")).await.expect("room");
    sender.fail("the journal is gone".into()).await;
    let Err(ReadBodyError::Transport(cause)) = body::read_limited(stream, 9).await else { panic!("taken for whole") };
    assert_eq!(cause.to_string(), "the journal is gone");
}
