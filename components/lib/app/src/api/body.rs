//! Reading a request's body.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use trawl_core::problem::{Code, Problem};
use trawl_wire::object::{FieldError, Object, ObjectError};

use super::Exchange;
use crate::ports::Ports;

impl<P: Ports> Exchange<'_, P> {
    /// The body as a JSON object. No content type is taken as JSON; any other one is refused, since a form that a browser
    /// sends across sites must not pass for a request.
    pub(super) fn object(&self) -> Result<Object<'_>, Problem> {
        let media_type = media_type(self.request.headers())?;
        if !media_type.is_empty()
            && media_type != "application/json"
            && !media_type.ends_with("+json")
        {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                format!("Send JSON with `Content-Type: application/json`, not {media_type}."),
            ));
        }
        Object::parse(self.request.body()).map_err(|error| not_an_object(&error))
    }
}

/// The essence of the content type, in lower case; empty when there is none. A body that is packed is refused, and so is a type that
/// can't be read or is given twice: it could be taken for another one.
pub(super) fn media_type(headers: &HeaderMap) -> Result<String, Problem> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "Send the body as it is, without `Content-Encoding`.",
        ));
    }
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else {
        return Ok(String::new());
    };
    let value = value.to_str().ok().filter(|_| values.next().is_none());
    let essence = value.and_then(|value| value.split(';').next());
    let essence = essence.map(str::trim).filter(|name| !name.is_empty());
    essence.map(str::to_ascii_lowercase).ok_or_else(|| {
        Problem::new(
            Code::UnsupportedMediaType,
            "Send one `Content-Type` that names a media type, such as application/json.",
        )
    })
}

pub(super) fn not_an_object(error: &ObjectError) -> Problem {
    match error {
        ObjectError::NotAnObject => {
            Problem::new(Code::InvalidField, "The body must be a JSON object, `{…}`.")
        }
        error => Problem::new(
            Code::InvalidJson,
            format!("Send one JSON object in UTF-8: {error}."),
        ),
    }
}

pub(super) fn bad_field(error: FieldError) -> Problem {
    let field = error.field;
    Problem::new(Code::InvalidField, format!("{error}.")).at(field)
}
