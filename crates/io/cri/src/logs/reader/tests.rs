//! The reader on real files in a temporary folder.

use expect_test::{Expect, expect};

use super::*;

const LOG: &str = "\
2026-01-01T00:00:01Z stdout F one
2026-01-01T00:00:02Z stderr F two
2026-01-01T00:00:03.25Z stdout P thr
2026-01-01T00:00:03.5Z stdout F ee
2026-01-01T00:00:04Z stdout F four
";

struct Fixture {
    folder: tempfile::TempDir,
    ended: watch::Sender<bool>,
}

impl Fixture {
    fn new(log: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("0.log"), log).unwrap();
        Self { folder, ended: watch::Sender::new(false) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("0.log")
    }

    fn append(&self, text: &str) {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(self.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    async fn reader(&self, options: LogOptions) -> LogReader {
        LogReader::open(&self.path(), options, self.ended.subscribe()).await.unwrap()
    }
}

async fn rest(reader: &mut LogReader) -> String {
    let mut text = String::new();
    while let Some(chunk) = reader.next().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    text
}

async fn check(options: LogOptions, expected: Expect) {
    expected.assert_eq(&rest(&mut Fixture::new(LOG).reader(options).await).await);
}

#[tokio::test]
async fn whole_log_joins_partial_lines() {
    check(LogOptions::default(), expect![["one\ntwo\nthree\nfour\n"]]).await;
}

#[tokio::test]
async fn tail_counts_entries_of_the_file() {
    let tail = |lines| LogOptions { tail_lines: Some(lines), ..LogOptions::default() };
    check(tail(0), expect![[""]]).await;
    check(tail(1), expect![["four\n"]]).await;
    check(tail(2), expect![["ee\nfour\n"]]).await;
    check(tail(5), expect![["one\ntwo\nthree\nfour\n"]]).await;
    check(tail(500), expect![["one\ntwo\nthree\nfour\n"]]).await;
}

#[tokio::test]
async fn tail_shows_no_more_when_the_file_grows_under_it() {
    let fixture = Fixture::new(LOG);
    let mut reader = fixture.reader(LogOptions { tail_lines: Some(1), ..LogOptions::default() }).await;
    fixture.append("2026-01-01T00:00:05Z stdout F five\n");
    assert_eq!(rest(&mut reader).await, "four\n");
}

#[tokio::test]
async fn since_limit_stream_and_timestamps_apply() {
    let since = Some(Timestamp::parse("2026-01-01T00:00:03Z").unwrap());
    check(LogOptions { since, ..LogOptions::default() }, expect![["three\nfour\n"]]).await;
    check(LogOptions { limit_bytes: Some(6), ..LogOptions::default() }, expect![["one\ntw"]]).await;
    check(LogOptions { limit_bytes: Some(0), ..LogOptions::default() }, expect![[""]]).await;
    check(LogOptions { stream: Some(Stream::Stderr), ..LogOptions::default() }, expect![["two\n"]]).await;
    check(
        LogOptions { timestamps: true, tail_lines: Some(3), ..LogOptions::default() },
        expect![[r#"
            2026-01-01T00:00:03.250000000Z three
            2026-01-01T00:00:04.000000000Z four
        "#]],
    )
    .await;
}

#[tokio::test]
async fn tail_finds_lines_across_blocks() {
    let long = "2026-01-01T00:00:01Z stdout F ".to_owned() + &"x".repeat(BLOCK_BYTES) + "\n";
    let fixture = Fixture::new(&long.repeat(3));
    let mut reader = fixture.reader(LogOptions { tail_lines: Some(2), ..LogOptions::default() }).await;
    assert_eq!(rest(&mut reader).await.len(), 2 * (BLOCK_BYTES + 1));
}

#[tokio::test]
async fn follower_sees_growth_rotation_and_the_end() {
    let fixture = Fixture::new("2026-01-01T00:00:01Z stdout F one\n");
    let mut reader = fixture.reader(LogOptions { follow: true, ..LogOptions::default() }).await;
    assert_eq!(reader.next().await.unwrap().unwrap(), "one\n");

    fixture.append("2026-01-01T00:00:02Z stdout F tw");
    fixture.append("o\n2026-01-01T00:00:02Z stdout F last of the old file\n");
    std::fs::rename(fixture.path(), fixture.folder.path().join("0.log.1")).unwrap();
    fixture.append("2026-01-01T00:00:03Z stdout F three\n");
    assert_eq!(reader.next().await.unwrap().unwrap(), "two\nlast of the old file\n");
    assert_eq!(reader.next().await.unwrap().unwrap(), "three\n");

    fixture.append("2026-01-01T00:00:04Z stdout F four\n");
    fixture.ended.send_replace(true);
    assert_eq!(rest(&mut reader).await, "four\n");
}

#[tokio::test]
async fn follower_waits_for_what_is_not_written_yet() {
    let fixture = Fixture::new("");
    let mut reader = fixture.reader(LogOptions { follow: true, ..LogOptions::default() }).await;
    let read = tokio::spawn(async move { rest(&mut reader).await });
    fixture.append("2026-01-01T00:00:01Z stdout F late\n");
    fixture.ended.send_replace(true);
    assert_eq!(read.await.unwrap(), "late\n");
}

#[tokio::test]
async fn missing_file_is_an_error_with_its_path() {
    let (_ended, receiver) = watch::channel(false);
    let error = LogReader::open(Path::new("/nowhere/0.log"), LogOptions::default(), receiver).await.err().unwrap();
    assert_eq!(error.to_string(), "failed to read container log /nowhere/0.log");
}
