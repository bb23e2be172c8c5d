//! One line of a CRI log file: `<RFC 3339 time with nanoseconds> <stdout|stderr> <P|F[:tags]> <content>`.
//!
//! Format: Kubernetes design proposal "kubelet-cri-logging"; `P` marks a line that the runtime had to cut.

use km_base::Timestamp;

/// Which of its two outputs a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A parsed line, borrowing from the file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// The time as it stands in the file.
    pub time: &'a str,
    /// The output it came from.
    pub stream: Stream,
    /// Whether the container's line goes on in the next entry of the same stream.
    pub partial: bool,
    /// What the container wrote, without the newline.
    pub content: &'a [u8],
}

impl<'a> LogLine<'a> {
    /// Parses one line, with or without its newline; `None` when it is not in the format.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(fields.next()?).ok()?;
        let stream = match fields.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let tags = fields.next()?;
        let partial = tags.split(|byte| *byte == b':').any(|tag| tag == b"P");
        let content = fields.next()?;
        Some(Self { time, stream, partial, content })
    }

    /// Returns when the line was written, in microseconds; `None` when the time is not one.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        Timestamp::parse(self.time).ok()
    }

    /// Returns the time with exactly nine digits of fraction, as `kubectl logs --timestamps` shows it.
    ///
    /// k8s 1.33 staging/src/k8s.io/cri-client/pkg/logs/logs.go: `timeFormatOut` is RFC3339NanoFixed.
    #[must_use]
    pub fn fixed_time(&self) -> String {
        let zone = self.time.rfind(['Z', '+']).or_else(|| self.time.rfind('-').filter(|at| *at > 10));
        let (clock, zone) = self.time.split_at(zone.unwrap_or(self.time.len()));
        let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        format!("{seconds}.{fraction:0<9}{zone}")
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(line: &str, expected: Expect) {
        let text = match LogLine::parse(line.as_bytes()) {
            Some(line) => format!(
                "{} {:?} partial={} {:?}",
                line.fixed_time(),
                line.stream,
                line.partial,
                String::from_utf8_lossy(line.content)
            ),
            None => "refused".to_owned(),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn lines_parse_as_runtimes_write_them() {
        check(
            "2016-10-06T00:17:09.669794202Z stdout F a b  c\n",
            expect![[r#"2016-10-06T00:17:09.669794202Z Stdout partial=false "a b  c""#]],
        );
        check(
            "2016-10-06T00:17:09.6697Z stderr P half",
            expect![[r#"2016-10-06T00:17:09.669700000Z Stderr partial=true "half""#]],
        );
        check(
            "2016-10-06T00:17:09+02:00 stdout F:x ",
            expect![[r#"2016-10-06T00:17:09.000000000+02:00 Stdout partial=false """#]],
        );
        check(
            "2016-10-06T00:17:09.5-07:00 stdout P:x y",
            expect![[r#"2016-10-06T00:17:09.500000000-07:00 Stdout partial=true "y""#]],
        );
    }

    #[test]
    fn lines_in_another_format_are_refused() {
        check("", expect!["refused"]);
        check("2016-10-06T00:17:09Z stdin F x", expect!["refused"]);
        check("2016-10-06T00:17:09Z stdout F", expect!["refused"]);
        check(r#"{"log":"docker"}"#, expect!["refused"]);
    }
}
