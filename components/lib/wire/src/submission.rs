//! The body of `POST /receive_data`, and of a Redis producer's request.

use crate::object::{FieldError, Object, Scalar};

/// A request as it was sent: spellings unified and types checked, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Submission<'a> {
    /// The node's own label, `user_Id` or `user_id`.
    pub user_label: Option<String>,
    /// What to fetch.
    pub request_url: &'a str,
    /// 1 text, 2 HTML, 3 domains; not checked.
    pub kind: i64,
    /// Where to report, `callback_url` or `callback`.
    pub callback_url: Option<&'a str>,
    /// 0-9; not checked.
    pub priority: Option<i64>,
    /// `best` or `fast`; not checked.
    pub mode: Option<&'a str>,
    /// A CSS selector; not checked.
    pub selector: Option<&'a str>,
    /// How old a stored result may be, in seconds; not checked.
    pub max_age_s: Option<i64>,
}

impl<'a> Submission<'a> {
    /// Takes the fields out of `object`; unknown fields are ignored, so that newer clients can talk to older servers.
    ///
    /// # Errors
    /// Names the first field that is missing or has the wrong type.
    pub fn read(object: &'a Object<'_>) -> Result<Self, FieldError> {
        Ok(Self {
            user_label: label(object)?,
            request_url: object.required_text(&["request_url"])?,
            kind: object
                .integer(&["type"])?
                .ok_or_else(|| FieldError::new("type", "is required: 1 text, 2 HTML, 3 domains"))?,
            callback_url: object
                .text(&["callback_url", "callback"])?
                .filter(|url| !url.is_empty()),
            priority: object.integer(&["priority"])?,
            mode: object.text(&["mode"])?,
            selector: object.text(&["selector"])?,
            max_age_s: object.integer(&["max_age"])?,
        })
    }
}

/// Older nodes send their label as a number; it is kept as its digits.
fn label(object: &Object<'_>) -> Result<Option<String>, FieldError> {
    match object.get(&["user_Id", "user_id"])? {
        None => Ok(None),
        Some(Scalar::Text(text)) => Ok(Some(text.clone().into_owned())),
        Some(Scalar::Integer(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(FieldError::new("user_Id", "must be a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_that_say_different_things_are_refused() {
        for (body, field) in [
            (
                r#"{"user_Id":"a","user_id":"b","request_url":"a.b","type":1}"#,
                "user_Id",
            ),
            (
                r#"{"callback_url":"a.b","callback":"c","request_url":"a.b","type":1}"#,
                "callback_url",
            ),
        ] {
            let object = Object::parse(body.as_bytes()).unwrap();
            assert_eq!(Submission::read(&object).unwrap_err().field, field);
        }
        for body in [
            r#"{"user_Id":"a","user_id":"a","request_url":"a.b","type":1}"#,
            r#"{"user_Id":null,"user_id":"a","request_url":"a.b","type":1}"#,
            r#"{"user_Id":"a","user_id":null,"request_url":"a.b","type":1}"#,
        ] {
            let object = Object::parse(body.as_bytes()).unwrap();
            let submission = Submission::read(&object).unwrap();
            assert_eq!(submission.user_label.as_deref(), Some("a"), "{body}");
        }
    }

    #[test]
    fn both_spellings() {
        for body in [
            r#"{"user_Id":"n1","request_url":"a.b","type":1,"callback_url":"c"}"#,
            r#"{"user_id":"n1","request_url":"a.b","type":1,"callback":"c"}"#,
        ] {
            let object = Object::parse(body.as_bytes()).unwrap();
            let submission = Submission::read(&object).unwrap();
            assert_eq!(submission.user_label.as_deref(), Some("n1"));
            assert_eq!(submission.callback_url, Some("c"));
        }
    }

    #[test]
    fn whole_numbers_may_have_a_point_and_unknown_fields_any_value() {
        let body = br#"{"request_url":"a.b","type":1.0,"priority":9e0,"account":5}"#;
        let object = Object::parse(body).unwrap();
        let submission = Submission::read(&object).unwrap();
        assert_eq!((submission.kind, submission.priority), (1, Some(9)));
    }

    #[test]
    fn the_field_is_named() {
        for (body, field) in [
            (r#"{"type":1}"#, "request_url"),
            (r#"{"request_url":"a"}"#, "type"),
            (r#"{"request_url":7,"type":1}"#, "request_url"),
            (r#"{"request_url":"a","type":"1"}"#, "type"),
            (r#"{"request_url":"a","type":1.5}"#, "type"),
            (
                r#"{"request_url":"a","type":1,"priority":"high"}"#,
                "priority",
            ),
            (
                r#"{"request_url":"a","type":1,"callback":{}}"#,
                "callback_url",
            ),
            (r#"{"request_url":"a","type":1,"user_id":[]}"#, "user_Id"),
            (r#"{"request_url":"a","type":1,"max_age":true}"#, "max_age"),
        ] {
            let object = Object::parse(body.as_bytes()).unwrap();
            assert_eq!(
                Submission::read(&object).unwrap_err().field,
                field,
                "{body}"
            );
        }
    }
}
