//! NUL characters, which slip into pages and which HTML leaves out of their text: many who read our results refuse them.

use std::borrow::Cow;

use serde_json::Value;

/// A text without its NUL characters. Nearly none has any, which one quick look tells.
#[must_use]
pub fn without(text: Cow<'_, str>) -> Cow<'_, str> {
    if memchr::memchr(0, text.as_bytes()).is_none() {
        return text;
    }
    Cow::Owned(text.replace('\0', ""))
}

/// Takes them out of what was parsed of a JSON text, where they are written as an escape.
pub(crate) fn remove_from_json(source: &str, value: &mut Value) {
    if memchr::memmem::find(source.as_bytes(), b"\\u0000").is_none() {
        return;
    }
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => text.retain(|character| character != '\0'),
            Value::Array(values) => open.extend(values),
            Value::Object(members) => open.extend(members.values_mut()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_text_is_not_copied() {
        for (text, wanted, is_copied) in [
            ("abc", "abc", false),
            ("", "", false),
            ("\0a\0\0b\0", "ab", true),
        ] {
            let clean = without(Cow::Borrowed(text));
            assert_eq!(
                (&*clean, matches!(clean, Cow::Owned(_))),
                (wanted, is_copied)
            );
        }
    }
}
