//! Follows the framing of an HTTP/1 connection beside hyper, to refuse what hyper repairs, and to say why where hyper would not.
//!
//! A request with both `Content-Length` and `Transfer-Encoding`, or with several of either, is how requests are smuggled
//! past a front door. hyper takes one and drops the other before anybody sees it (which RFC 9112 allows); we refuse the
//! request and close the connection. The pass over the bytes costs a fraction of hyper's own.

use super::{ServerLimits, grammar};

/// Where in the stream of requests the connection is.
#[derive(Debug)]
pub(super) struct Framing {
    phase: Phase,
    sizes: Sizes,
    /// The start of a line whose end has not been read yet.
    line: Vec<u8>,
    facts: Facts,
    heads: u64,
    refused: Option<u64>,
    fault: Option<(u64, Fault)>,
}

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is larger than it may be.
    TooLarge,
    /// One of its lines is none.
    Malformed,
    /// It states the length of its body in no way, or in more than one, that can be believed.
    Length,
}

/// What a head may measure.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    bytes_max: usize,
    fields_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Start,
    /// In the fields of a head.
    Fields,
    /// So many bytes of a body are left.
    Data { left: u64, chunked: bool },
    /// Before a chunk's size.
    ChunkSize,
    /// After the last chunk.
    Trailer,
    /// HTTP/2: not ours to follow.
    Http2,
    /// Refused, or past help: nothing more is looked at.
    Lost,
}

/// What is known of a head so far.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    bytes: usize,
    fields: usize,
    length: Option<u64>,
    chunked: bool,
    /// HTTP/1.0, which has no chunks.
    old: bool,
    wrong: bool,
}

impl Framing {
    /// A connection at its start.
    pub(super) fn new(limits: &ServerLimits) -> Self {
        Self {
            phase: Phase::Start,
            sizes: Sizes {
                bytes_max: limits.header_bytes_max,
                fields_max: limits.headers_max,
            },
            line: Vec::new(),
            facts: Facts::default(),
            heads: 0,
            refused: None,
            fault: None,
        }
    }

    /// The first head that is wrong: its number (from 1), and how.
    pub(super) const fn fault(&self) -> Option<(u64, Fault)> {
        self.fault
    }

    /// Has a head begun that has not ended?
    pub(super) fn is_in_head(&self) -> bool {
        match self.phase {
            Phase::Start => !self.line.is_empty(),
            Phase::Fields => true,
            _ => false,
        }
    }

    /// Did it begin as HTTP/2?
    pub(super) fn is_http2(&self) -> bool {
        self.phase == Phase::Http2
    }

    /// Is there nothing of a request that has not been read to its end?
    pub(super) fn is_between_requests(&self) -> bool {
        self.phase == Phase::Http2 || (self.phase == Phase::Start && self.line.is_empty())
    }

    /// The number of the first request (from 1) that must be refused.
    pub(super) const fn refused(&self) -> Option<u64> {
        self.refused
    }

    /// Goes on with what was read.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.phase {
                Phase::Http2 | Phase::Lost => return,
                Phase::Data { left, chunked } => {
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[taken..];
                    let left = left - taken as u64;
                    self.phase = match (left, chunked) {
                        (0, true) => Phase::ChunkSize,
                        (0, false) => Phase::Start,
                        _ => Phase::Data { left, chunked },
                    };
                }
                Phase::Start | Phase::Fields | Phase::ChunkSize | Phase::Trailer => {
                    bytes = self.feed_line(bytes)
                }
            }
        }
    }

    /// Takes one line, or what there is of it, and gives back the rest.
    fn feed_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            let so_far = self.facts.bytes + self.line.len() + bytes.len();
            if so_far > self.sizes.bytes_max {
                self.give_up_line();
            } else {
                self.line.extend_from_slice(bytes);
                if self.phase == Phase::Start && !grammar::may_start(&self.line) {
                    self.fail(Fault::Malformed);
                }
            }
            return &[];
        };
        if self.line.is_empty() {
            self.line(&bytes[..end]);
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&bytes[..end]);
            self.line(&line);
        }
        &bytes[end + 1..]
    }

    /// A line that does not end. In a head it is the head that is too large; in a body hyper may read on, through blanks for instance,
    /// and only nothing after it can be trusted.
    fn give_up_line(&mut self) {
        match self.phase {
            Phase::Start | Phase::Fields => self.fail(Fault::TooLarge),
            _ => self.break_chunks(),
        }
        self.line = Vec::new();
    }

    /// The head that is being read is wrong.
    fn fail(&mut self, fault: Fault) {
        self.fault = Some((self.heads + 1, fault));
        self.phase = Phase::Lost;
    }

    fn line(&mut self, line: &[u8]) {
        let size = line.len() + 1;
        let stripped = line.strip_suffix(b"\r");
        if stripped.is_none() && matches!(self.phase, Phase::ChunkSize | Phase::Trailer) {
            // In a head a bare LF ends a line for hyper too. Here it does not: in a trailer hyper reads on, and would see requests
            // where a body is taken to be.
            self.break_chunks();
            return;
        }
        let line = stripped.unwrap_or(line);
        match (self.phase, line.is_empty()) {
            (Phase::Start, false) if line == grammar::PREFACE => self.phase = Phase::Http2,
            (Phase::Start, false) if !grammar::is_request_line(line, true) => {
                self.fail(Fault::Malformed)
            }
            (Phase::Start, false) => {
                self.facts = Facts {
                    bytes: size,
                    old: line.ends_with(b"0"),
                    ..Facts::default()
                };
                self.phase = Phase::Fields;
            }
            (Phase::Fields, false) => {
                self.facts.bytes += size;
                self.facts.fields += 1;
                if self.facts.bytes > self.sizes.bytes_max
                    || self.facts.fields > self.sizes.fields_max
                {
                    self.fail(Fault::TooLarge);
                } else if grammar::is_field(line) {
                    self.field(line);
                } else {
                    self.fail(Fault::Malformed);
                }
            }
            (Phase::Fields, true) => self.end_head(),
            (Phase::ChunkSize, _) => self.phase = self.chunk(line),
            (Phase::Trailer, true) => self.phase = Phase::Start,
            // Empty lines before a request are allowed (RFC 9112, 2.2); trailers are dropped.
            _ => {}
        }
    }

    fn field(&mut self, line: &[u8]) {
        // Only two names matter; one comparison dismisses most of the others.
        let Some(first) = line.first().map(u8::to_ascii_lowercase) else {
            return;
        };
        if first == b'c' {
            if let Some(value) = value_of(line, b"content-length") {
                let length = digits(value);
                self.facts.wrong |= self.facts.length.is_some() || length.is_none();
                self.facts.length = Some(length.unwrap_or(0));
            }
        } else if first == b't'
            && let Some(value) = value_of(line, b"transfer-encoding")
        {
            self.facts.wrong |= self.facts.chunked || !value.eq_ignore_ascii_case(b"chunked");
            self.facts.chunked = true;
        }
    }

    fn end_head(&mut self) {
        let facts = std::mem::take(&mut self.facts);
        if facts.wrong || (facts.chunked && (facts.length.is_some() || facts.old)) {
            self.refused = Some(self.heads + 1);
            self.fail(Fault::Length);
            return;
        }
        self.heads += 1;
        self.phase = match (facts.chunked, facts.length) {
            (true, _) => Phase::ChunkSize,
            (false, Some(left)) if left > 0 => Phase::Data {
                left,
                chunked: false,
            },
            (false, _) => Phase::Start,
        };
    }

    fn chunk(&mut self, line: &[u8]) -> Phase {
        let size = line
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or(line)
            .trim_ascii();
        let parsed = std::str::from_utf8(size)
            .ok()
            .filter(|text| {
                (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
            .and_then(|text| u64::from_str_radix(text, 16).ok());
        match parsed {
            Some(0) => Phase::Trailer,
            // The line end after the data belongs to the chunk.
            Some(size) => Phase::Data {
                left: size + 2,
                chunked: true,
            },
            None => {
                self.break_chunks();
                Phase::Lost
            }
        }
    }

    /// The chunks of a body are none: hyper ends it with an error or somewhere else, and no request after it can be trusted.
    fn break_chunks(&mut self) {
        self.refused = Some(self.heads + 1);
        self.phase = Phase::Lost;
    }
}

/// The value of a field, if it has this name.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.get(name.len()..)?;
    if !line[..name.len()].eq_ignore_ascii_case(name) {
        return None;
    }
    // White space before the colon is refused by the parser; a longer name has no colon here.
    rest.strip_prefix(b":").map(<[u8]>::trim_ascii)
}

/// The longest length that hyper counts; the two beyond mean something else to it.
const LENGTH_MAX: u64 = u64::MAX - 2;

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = std::str::from_utf8(value).ok()?.parse().ok()?;
    (length <= LENGTH_MAX).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(stream: &str) -> Option<u64> {
        let mut framing = Framing::new(&ServerLimits::default());
        framing.feed(stream.as_bytes());
        let faulty = framing.fault().map(|(number, _)| number);
        assert!(
            framing
                .refused()
                .is_none_or(|number| faulty.is_none_or(|other| other == number))
        );
        framing.refused().or(faulty)
    }

    fn fault(stream: &str) -> Option<(u64, Fault)> {
        let mut framing = Framing::new(&ServerLimits::default());
        framing.feed(stream.as_bytes());
        framing.fault()
    }

    #[test]
    fn each_head_that_is_wrong_is_known_with_its_number_and_reason() {
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(20_000));
        for (stream, expected) in [
            ("hello\r\n", (1, Fault::Malformed)),
            ("\x16\x03\x01", (1, Fault::Malformed)),
            ("GET / HTTP/1.1\r\nHost a\r\n", (1, Fault::Malformed)),
            ("GET / HTTP/1.1\r\n\r\nGET /\r\n", (2, Fault::Malformed)),
            (
                "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                (1, Fault::Length),
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                (1, Fault::Length),
            ),
            (&long, (1, Fault::TooLarge)),
        ] {
            assert_eq!(
                fault(stream),
                Some(expected),
                "{:?}",
                &stream[..20.min(stream.len())]
            );
        }
        assert_eq!(fault("GET / HTTP/1.0\r\n\r\n"), None);
    }

    #[test]
    fn each_way_to_say_two_lengths_is_refused() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "content-length: 5\r\ncontent-length: 5",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            // Beyond what hyper counts, and beyond what can be counted.
            "Content-Length: 18446744073709551615",
            "Content-Length: 18446744073709551614",
            "Content-Length: 18446744073709551616",
            "Content-Length:",
            "Content-Length: 5\r\n Content-Length: 6",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: identity",
            "TRANSFER-ENCODING:\tchunked\r\ncontent-LENGTH:0",
        ] {
            let stream = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            assert_eq!(refused(&stream), Some(1), "{fields}");
        }
    }

    #[test]
    fn ordinary_requests_pass() {
        for stream in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\nHost: a\n\n",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: content-length\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 50\r\nContent-Length-Extra: 1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        ] {
            assert_eq!(refused(stream), None, "{stream:?}");
        }
    }

    #[test]
    fn a_body_that_looks_like_a_head_is_a_body() {
        let body = "X: y\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let stream = format!(
            "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}GET / HTTP/1.1\r\n\r\n",
            body.len()
        );
        assert_eq!(refused(&stream), None);
        let stream = format!(
            "{stream}POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        assert_eq!(
            refused(&stream),
            Some(3),
            "the third of a pipeline is found"
        );
    }

    #[test]
    fn a_broken_chunk_refuses_what_comes_after_it() {
        assert_eq!(
            refused("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n"),
            Some(2)
        );
        assert_eq!(
            refused("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
            Some(2)
        );
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in [
            "0\r\nX: a\n\nGET /x HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n",
            "0\r\n\n",
            "0\n\r\n",
            "3\nabc\r\n0\r\n\r\n",
        ] {
            assert_eq!(refused(&format!("{head}{body}")), Some(2), "{body:?}");
        }
        let blanks = " ".repeat(ServerLimits::default().header_bytes_max + 1);
        assert_eq!(refused(&format!("{head}1{blanks}")), Some(2));
    }

    #[test]
    fn it_knows_when_a_head_has_begun_and_not_ended() {
        let mut framing = Framing::new(&ServerLimits::default());
        assert!(!framing.is_in_head());
        for (bytes, expected) in [
            ("G", true),
            ("ET / HTTP/1.1\r\n", true),
            ("Host: a\r\n", true),
            ("\r\n", false),
        ] {
            framing.feed(bytes.as_bytes());
            assert_eq!(framing.is_in_head(), expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_does_not_matter(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "Host: a\r\n", "Content-Length: 3\r\n", "abc", "\r\n", "\n",
                "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n", "0\r\n\r\n", "0\r\n", "0\n", "X: a\n", " x\r\n", "Content-Length: 9999999999999999999999\r\n",
            ]), 0..30),
            cuts in prop::collection::vec(1_usize..9, 1..9),
        ) {
            let stream = pieces.concat();
            let mut whole = Framing::new(&ServerLimits::default());
            whole.feed(stream.as_bytes());
            let mut cut = Framing::new(&ServerLimits::default());
            let (mut rest, mut sizes) = (stream.as_bytes(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                cut.feed(now);
                rest = later;
            }
            prop_assert_eq!((cut.refused, cut.fault, cut.heads), (whole.refused, whole.fault, whole.heads));
            prop_assert_eq!(cut.phase, whole.phase);
        }
    }
}
