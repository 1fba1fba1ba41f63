//! A flat JSON object read without building a document: every request of the API is one.
//!
//! Fields keep their scalar type, so that a wrong type can be answered with the field's name and what was
//! expected; arrays and objects inside are skipped and remembered only as [`Scalar::Compound`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use trawl_core::limits::inbound::JSON_DEPTH_MAX;

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    /// `null`, treated like an absent field.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without a fraction that fits.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// An array or an object, skipped.
    Compound,
}

/// Why a body is not a usable object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Not JSON, or not UTF-8; says where.
    #[error("{0}")]
    NotJson(String),
    /// Nested deeper than [`JSON_DEPTH_MAX`].
    #[error("arrays and objects are nested deeper than {JSON_DEPTH_MAX}")]
    TooDeep,
    /// JSON, but not an object.
    #[error("the body must be a JSON object")]
    NotAnObject,
}

/// A field that has the wrong type, or is missing, or is given twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct FieldError {
    /// The field, in the contract's spelling.
    pub field: &'static str,
    /// What is wrong, worded to follow the field's name.
    pub problem: String,
}

impl FieldError {
    /// An error about `field`; `problem` is worded to follow its name.
    #[must_use]
    pub fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }
}

/// The fields of one object, in the order sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<'a> {
    fields: Vec<(Cow<'a, str>, Scalar<'a>)>,
}

impl<'a> Object<'a> {
    /// Reads `body`.
    ///
    /// # Errors
    /// [`ObjectError`] when it is not a JSON object, or nested too deep.
    pub fn parse(body: &'a [u8]) -> Result<Self, ObjectError> {
        if depth_exceeds(body, JSON_DEPTH_MAX) {
            return Err(ObjectError::TooDeep);
        }
        // All of it: what nobody looks at is skipped by the parser without being read as text.
        let body = std::str::from_utf8(body).map_err(|e| ObjectError::NotJson(e.to_string()))?;
        serde_json::from_str(body).map_err(|e| match e.classify() {
            serde_json::error::Category::Data => ObjectError::NotAnObject,
            _ => ObjectError::NotJson(e.to_string()),
        })
    }

    /// The value of the one of `spellings` that is present and not null.
    ///
    /// # Errors
    /// When one spelling is given twice, or two of them with different values: two readers could then see two different requests.
    pub fn get(&self, spellings: &[&'static str]) -> Result<Option<&Scalar<'a>>, FieldError> {
        let Some(canonical) = spellings.first() else {
            return Ok(None);
        };
        let mut known: Option<&Scalar<'a>> = None;
        for spelling in spellings {
            let mut found = self
                .fields
                .iter()
                .filter(|(name, _)| name == spelling)
                .map(|(_, value)| value);
            let Some(value) = found.next() else { continue };
            if found.next().is_some() {
                return Err(FieldError::new(canonical, "is given twice"));
            }
            if known.is_some_and(|known| known != value) && *value != Scalar::Null {
                let problem = "is given in two spellings, with different values";
                return Err(FieldError::new(canonical, problem));
            }
            if *value != Scalar::Null {
                known = Some(value);
            }
        }
        Ok(known)
    }

    /// A string field.
    ///
    /// # Errors
    /// When it is there and not a string.
    pub fn text(&self, spellings: &[&'static str]) -> Result<Option<&str>, FieldError> {
        match self.get(spellings)? {
            None => Ok(None),
            Some(Scalar::Text(text)) => Ok(Some(text)),
            Some(_) => Err(FieldError::new(spellings[0], "must be a string")),
        }
    }

    /// A string field that must be there.
    ///
    /// # Errors
    /// When it is missing or not a string.
    pub fn required_text(&self, spellings: &[&'static str]) -> Result<&str, FieldError> {
        self.text(spellings)?
            .ok_or_else(|| FieldError::new(spellings[0], "is required"))
    }

    /// A whole number.
    ///
    /// # Errors
    /// When it is there and not a whole number.
    pub fn integer(&self, spellings: &[&'static str]) -> Result<Option<i64>, FieldError> {
        match self.get(spellings)? {
            None => Ok(None),
            Some(Scalar::Integer(number)) => Ok(Some(*number)),
            Some(Scalar::Real(number)) if number.abs() > WHOLE_REAL_MAX => {
                Err(FieldError::new(spellings[0], "is too large a number"))
            }
            Some(_) => Err(FieldError::new(spellings[0], "must be a whole number")),
        }
    }
}

/// Counts brackets outside strings, without recursion and before any parser sees the body.
fn depth_exceeds(body: &[u8], depth_max: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some(Text(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Object { fields })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A string that borrows from the body when it holds no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("a field's name must be a string")),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Up to here (2^53) a real number tells whole numbers apart. JSON Schema counts 1.0 among the integers.
const WHOLE_REAL_MAX: f64 = 9_007_199_254_740_992.0;

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "past the range of i64 only \"too large\" matters"
        )]
        Ok(i64::try_from(value).map_or(Scalar::Real(value as f64), Scalar::Integer))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number within the range"
        )]
        if value.fract() == 0.0 && value.abs() <= WHOLE_REAL_MAX {
            return Ok(Scalar::Integer(value as i64));
        }
        Ok(Scalar::Real(value))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Compound)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Compound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_their_type() {
        let object = Object::parse(
            br#"{"a":"x","b":3,"c":null,"d":[1,{"e":2}],"f":1.5,"g":true,"h":"\u0041"}"#,
        )
        .unwrap();
        assert_eq!(object.text(&["a"]), Ok(Some("x")));
        assert_eq!(object.text(&["h"]), Ok(Some("A")));
        assert_eq!(object.integer(&["b"]), Ok(Some(3)));
        assert_eq!(object.text(&["c"]), Ok(None));
        assert_eq!(
            object.text(&["d"]).unwrap_err().to_string(),
            "`d` must be a string"
        );
        assert_eq!(object.integer(&["f"]).unwrap_err().field, "f");
        assert_eq!(object.integer(&["g"]).unwrap_err().field, "g");
        assert_eq!(
            object.required_text(&["z"]).unwrap_err().to_string(),
            "`z` is required"
        );
    }

    #[test]
    fn spellings_and_repeats() {
        let object = Object::parse(br#"{"callback":"b","user_id":"1","user_id":"2"}"#).unwrap();
        assert_eq!(object.text(&["callback_url", "callback"]), Ok(Some("b")));
        assert_eq!(
            object
                .text(&["user_Id", "user_id"])
                .unwrap_err()
                .to_string(),
            "`user_Id` is given twice"
        );
    }

    #[test]
    fn what_is_not_an_object() {
        assert!(matches!(Object::parse(b"{"), Err(ObjectError::NotJson(_))));
        assert!(matches!(Object::parse(b""), Err(ObjectError::NotJson(_))));
        assert!(matches!(
            Object::parse(b"{\"a\":\"\xff\"}"),
            Err(ObjectError::NotJson(_))
        ));
        // Also where nobody looks.
        assert!(matches!(
            Object::parse(b"{\"a\":[\"\xff\"]}"),
            Err(ObjectError::NotJson(_))
        ));
        assert!(matches!(
            Object::parse(b"{} x"),
            Err(ObjectError::NotJson(_))
        ));
        assert_eq!(Object::parse(b"[1]"), Err(ObjectError::NotAnObject));
        assert_eq!(Object::parse(b"3"), Err(ObjectError::NotAnObject));
    }

    #[test]
    fn depth_is_counted_before_parsing() {
        let nested = |depth: usize| {
            format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)).into_bytes()
        };
        assert!(Object::parse(&nested(32)).is_ok());
        assert_eq!(Object::parse(&nested(33)), Err(ObjectError::TooDeep));
        let long = "[".repeat(1_000_000).into_bytes();
        assert_eq!(Object::parse(&long), Err(ObjectError::TooDeep));
        let brackets_in_a_string = format!("{{\"a\":\"{}\\\"{{\"}}", "[".repeat(100)).into_bytes();
        assert!(Object::parse(&brackets_in_a_string).is_ok());
    }
}
