//! Whether the lines of an HTTP/1 head are ones, by the rules that hyper's parser has: so that what it would refuse with a bare
//! status is refused with a reason.

use http::Uri;

/// The start of HTTP/2, which is not a request.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// May `line` be a request line? One that `ended` must be one; of another, which is still being read, what is there must not
/// rule it out.
pub(super) fn is_request_line(line: &[u8], ended: bool) -> bool {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    let method = method.unwrap_or_default();
    if method.is_empty() || !method.iter().copied().all(is_token) || parts.next().is_some() {
        return false;
    }
    if ended {
        return matches!(version, Some(b"HTTP/1.1" | b"HTTP/1.0"))
            && target.is_some_and(|target| Uri::try_from(target).is_ok());
    }
    // The line end may be half there.
    let version = version.map(|version| version.strip_suffix(b"\r").unwrap_or(version));
    let fits = |version: &[u8]| {
        [&b"HTTP/1.1"[..], b"HTTP/1.0"]
            .iter()
            .any(|whole| whole.starts_with(version))
    };
    target.is_none_or(|target| target.iter().all(|byte| !byte.is_ascii_control()))
        && version.is_none_or(|version| target != Some(b"") && fits(version))
}

/// May `start` be the start of what a connection begins a request with?
pub(super) fn may_start(start: &[u8]) -> bool {
    // Empty lines before a request are allowed.
    let is_empty = start.strip_prefix(b"\r").is_some_and(<[u8]>::is_empty);
    is_empty || PREFACE.starts_with(start) || is_request_line(start, false)
}

/// Is `line`, without its end, a field?
pub(super) fn is_field(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    !name.is_empty()
        && name.iter().copied().all(is_token)
        && value
            .iter()
            .all(|byte| !byte.is_ascii_control() || *byte == b'\t')
}

/// A character of a method or of a field's name (RFC 9110, 5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines_pass_whole_and_in_all_their_starts() {
        for line in [
            "GET / HTTP/1.1",
            "get /a?b=c%20d HTTP/1.0",
            "OPTIONS * HTTP/1.1",
            "GET http://a.example:80/ HTTP/1.1",
            "CONNECT a.example:443 HTTP/1.1",
            "M-SEARCH /~a;b=(c) HTTP/1.1",
        ] {
            assert!(is_request_line(line.as_bytes(), true), "{line}");
            for end in 1..=line.len() {
                assert!(
                    is_request_line(&line.as_bytes()[..end], false),
                    "{line}: {end}"
                );
            }
            assert!(
                is_request_line(format!("{line}\r").as_bytes(), false),
                "{line}"
            );
        }
        for other in ["\r", "PRI * HTTP/2.", "PRI * HTTP/2.0"] {
            assert!(may_start(other.as_bytes()), "{other:?}");
        }
    }

    #[test]
    fn what_can_never_become_one_is_seen_at_once() {
        for start in [
            "\x16\x03\x01\x02",
            "SSH-2.0-OpenSSH_9.6\r\x00",
            " GET",
            "GET  ",
            "GET / FTP",
            "GET / HTTP/2",
            "G\tT",
            "GET /a\x01",
        ] {
            assert!(!may_start(start.as_bytes()), "{start:?}");
        }
        for line in [
            "GET /",
            "GET / HTTP/1.2",
            "GET / HTTP/1.1 ",
            "GET /a b HTTP/1.1",
            "GET  HTTP/1.1",
            "GET http://[ HTTP/1.1",
            "G(T / HTTP/1.1",
            "hello",
        ] {
            assert!(!is_request_line(line.as_bytes(), true), "{line:?}");
        }
    }

    #[test]
    fn fields_have_a_name_and_no_control_characters() {
        for field in ["Host: a", "X-Y:", "a:b:c", "X: caf\u{e9}\t1"] {
            assert!(is_field(field.as_bytes()), "{field:?}");
        }
        for field in [
            "Host a", ": a", "Host : a", " folded", "X: a\0b", "X: a\rb", "X(Y): a",
        ] {
            assert!(!is_field(field.as_bytes()), "{field:?}");
        }
    }
}
