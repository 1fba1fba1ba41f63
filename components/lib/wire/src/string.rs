//! Strings of JSON, written eight bytes at a time: the two texts of a result are nearly all of its JSON, and a step for each of
//! their bytes has its price in WASM.

/// Adds a text as a string of JSON, as `serde_json` writes it.
pub(crate) fn push(text: &str, json: &mut Vec<u8>) {
    json.push(b'"');
    escape(text.as_bytes(), json);
    json.push(b'"');
}

/// Adds bytes of a text as they stand inside a string of JSON.
pub(crate) fn escape(bytes: &[u8], json: &mut Vec<u8>) {
    let mut rest = bytes;
    loop {
        let (plain, after) = rest.split_at(plain_length(rest));
        json.extend_from_slice(plain);
        let Some((byte, after)) = after.split_first() else {
            break;
        };
        push_escape(*byte, json);
        rest = after;
    }
}

/// How many bytes [`escape`] adds.
pub(crate) fn escaped_length(bytes: &[u8]) -> usize {
    let added = |byte: u8| match byte {
        b'\n' | b'"' | b'\\' | b'\t' | b'\r' | 0x08 | 0x0c => 1,
        0..b' ' => "\\u00xx".len() - 1,
        _ => 0,
    };
    let (eights, rest) = bytes.as_chunks();
    let marked = eights
        .iter()
        .filter(|eight| escaped(u64::from_le_bytes(**eight)) != 0);
    let added: usize = marked.flatten().chain(rest).map(|byte| added(*byte)).sum();
    bytes.len() + added
}

fn push_escape(byte: u8, json: &mut Vec<u8>) {
    let letter = match byte {
        b'\n' => b'n',
        b'"' | b'\\' => byte,
        b'\t' => b't',
        b'\r' => b'r',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            json.extend_from_slice(b"\\u00");
            json.push(DIGITS[usize::from(byte >> 4)]);
            return json.push(DIGITS[usize::from(byte & 15)]);
        }
    };
    json.extend_from_slice(&[b'\\', letter]);
}

/// The bytes up to one that needs an escape: a control character, a quotation mark or a backslash.
fn plain_length(bytes: &[u8]) -> usize {
    let (eights, rest) = bytes.as_chunks();
    for (number, eight) in eights.iter().enumerate() {
        let marks = escaped(u64::from_le_bytes(*eight));
        if marks != 0 {
            return number * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| **byte >= b' ' && !matches!(**byte, b'"' | b'\\');
    eights.len() * 8 + rest.iter().take_while(is_plain).count()
}

/// Marks the bytes that need an escape by their highest bit.
fn escaped(eight: u64) -> u64 {
    const MARKS: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let ascii = eight & !MARKS;
    // Of a number below 128, adding 128 - n sets the highest bit where it is n or more.
    let is_control = !(ascii + ONES * (0x80 - 0x20));
    let differs = |byte: u8| (ascii ^ (ONES * u64::from(byte))) + ONES * 0x7f;
    (is_control | !differs(b'"') | !differs(b'\\')) & !eight & MARKS
}

#[cfg(test)]
mod tests {
    use super::{escaped_length, push};

    #[test]
    fn every_character_is_written_as_serde_json_does() {
        let mut texts: Vec<String> = Vec::new();
        for code in (0..0x180).chain([0x2028, 0xfffd, 0x1_f600]) {
            let character = char::from_u32(code).unwrap();
            for before in 0..9 {
                texts.push(format!(
                    "{}{character}{}",
                    "a".repeat(before),
                    "b".repeat(9)
                ));
                texts.push(format!("{}{character}", "é".repeat(before)));
            }
        }
        texts.push(texts.concat());
        for text in texts {
            let mut json = Vec::new();
            push(&text, &mut json);
            assert_eq!(json, serde_json::to_vec(&text).unwrap(), "{text:?}");
            assert_eq!(escaped_length(text.as_bytes()), json.len() - 2, "{text:?}");
        }
    }
}
