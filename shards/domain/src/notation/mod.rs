//! A domain in JSON: its events, states and answers for people, and for systems that do not write byte layouts.
//!
//! What decides never comes here: the log holds bytes, and a [`Notation`] is asked by whoever takes events in or shows
//! what became of them, on its own thread.
//!
//! How JSON is read and written, the same for every domain ([`Members`], [`number_to_json`]):
//! * An object has exactly the members that are documented: one more or one less is an error that names it. So is one
//!   that is there twice, where the text is read as [`ExactJson`].
//! * A whole number is a JSON number, or a text of decimal digits or of `0x` and hexadecimal ones; never a fraction.
//! * A number is written as a JSON number up to 2^53 - 1, and beyond as a text of its decimal digits: programs that
//!   keep every JSON number as a double (JavaScript) would lose its last ones, without a word.

mod exact;
mod name;

pub use exact::ExactJson;
pub use name::DomainName;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde_json::{Map, Value};

use crate::{EntityId, Verdict};

/// What a domain's bytes are in JSON. Reached by [`crate::Domain::notation`].
///
/// Both ways lead back: the event that [`Notation::event_to_json`] writes is read as the same bytes, and so is the text
/// of an entity.
pub trait Notation: Send + Sync {
    /// The event that `json` is, in bytes as a client submits them.
    ///
    /// # Errors
    /// [`NotationError`] when it is not one: it says where, and what is accepted there.
    fn event_from_json(&self, json: &Value) -> Result<Payload, NotationError>;

    /// The event of these bytes. Nothing if they are not one, or of a version that is not known here.
    fn event_to_json(&self, version: u16, payload: &[u8]) -> Option<Value>;

    /// The entity of this name, which may stand in the path of a URL as it is.
    ///
    /// # Errors
    /// [`NotationError`] when it is the name of none.
    fn entity_from_text(&self, text: &str) -> Result<EntityId, NotationError>;

    /// The name of an entity. Every id has one, also an id that no event would accept.
    fn entity_to_text(&self, entity: EntityId) -> String;

    /// The state of an entity that exists. Nothing if the bytes are not one.
    fn state_to_json(&self, entity: EntityId, state: &[u8]) -> Option<Value>;

    /// What an event returned, with its verdict; `null` for no bytes. Where the event is at hand, in its version and
    /// bytes, what is written can say more than without it: a stream of outcomes does not hold the events. Nothing if
    /// the bytes are not such a response.
    fn response_to_json(
        &self,
        verdict: Verdict,
        event: Option<(u16, &[u8])>,
        response: &[u8],
    ) -> Option<Value>;

    /// An event that reads this entity and changes nothing: applied whether it exists or not, so that its outcome is
    /// a verified read (C8). Nothing if the domain has no such event.
    fn inspection(&self, entity: EntityId) -> Option<Payload> {
        let _ = entity;
        None
    }

    /// What an applied [`Notation::inspection`] returned: the state's bytes, or within that nothing if the entity is
    /// absent. Nothing if the response is not an inspection's.
    fn inspected<'a>(&self, response: &'a [u8]) -> Option<Option<&'a [u8]>> {
        let _ = response;
        None
    }
}

/// An event's own bytes, and the version of their layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The version.
    pub version: u16,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why JSON is not an event, or a text not an entity's name: where, and what is accepted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotationError {
    /// Members that lead there, such as `transfer_lines.lines[2].quantity`; empty for the whole.
    path: String,
    detail: String,
}

impl NotationError {
    /// Of the whole of what is read.
    #[must_use]
    pub fn new(detail: impl Into<String>) -> NotationError {
        NotationError { path: String::new(), detail: detail.into() }
    }

    /// The same, of a member of something larger.
    #[must_use]
    pub fn within(self, member: &str) -> NotationError {
        let path = match self.path.chars().next() {
            None => member.to_owned(),
            Some('[') => format!("{member}{}", self.path),
            Some(_) => format!("{member}.{}", self.path),
        };
        NotationError { path, ..self }
    }

    /// The same, of an element of a list.
    #[must_use]
    pub fn within_element(self, at: usize) -> NotationError {
        self.within(&format!("[{at}]"))
    }
}

impl fmt::Display for NotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str(&self.detail),
            false => write!(f, "{}: {}", self.path, self.detail),
        }
    }
}

impl core::error::Error for NotationError {}

/// The members of a JSON object that has exactly those that it should.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    members: &'a Map<String, Value>,
}

impl<'a> Members<'a> {
    /// Those of `json`.
    ///
    /// # Errors
    /// [`NotationError`] when it is not an object, or has one member more or less than `accepted`.
    pub fn of(json: &'a Value, accepted: &[&str]) -> Result<Members<'a>, NotationError> {
        let names = accepted.join(", ");
        let Value::Object(members) = json else {
            return Err(NotationError::new(format!(
                "{} is not an object; accepted is one with the members {names}",
                shown(json)
            )));
        };
        if let Some(unknown) = members.keys().find(|name| !accepted.contains(&name.as_str())) {
            let detail = format!("the member '{unknown}' is not known here; accepted are {names}");
            return Err(NotationError::new(detail));
        }
        if let Some(missing) = accepted.iter().find(|name| !members.contains_key(**name)) {
            return Err(NotationError::new(format!(
                "the member '{missing}' is missing; there must be {names}"
            )));
        }
        Ok(Members { members })
    }

    /// One of them.
    ///
    /// # Panics
    /// When it is not among the accepted ones.
    #[must_use]
    pub fn get(&self, name: &str) -> &'a Value {
        self.members.get(name).unwrap_or_else(|| panic!("'{name}' was not among the accepted members"))
    }

    /// One of them, read by `read`; its errors say in which member they are.
    ///
    /// # Errors
    /// [`NotationError`] of `read`.
    ///
    /// # Panics
    /// As [`Members::get`].
    pub fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Value) -> Result<T, NotationError>,
    ) -> Result<T, NotationError> {
        read(self.get(name)).map_err(|error| error.within(name))
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`NotationError`] when it is not one, or not one of the type.
    ///
    /// # Panics
    /// As [`Members::get`].
    pub fn number<T: WholeNumber>(&self, name: &str) -> Result<T, NotationError> {
        self.read(name, number_from_json)
    }
}

/// The one member of `json`, an object: its name, which is one of `accepted`, and what it is.
///
/// # Errors
/// [`NotationError`] when it is not such an object.
pub fn only_member<'a>(json: &'a Value, accepted: &[&str]) -> Result<(&'a str, &'a Value), NotationError> {
    let names = accepted.join(", ");
    let members = json.as_object().filter(|members| members.len() == 1);
    let Some((name, value)) = members.and_then(|members| members.iter().next()) else {
        let detail = format!("{} is not an object with one member; accepted is one of {names}", shown(json));
        return Err(NotationError::new(detail));
    };
    if !accepted.contains(&name.as_str()) {
        return Err(NotationError::new(format!("'{name}' is not known here; accepted is one of {names}")));
    }
    Ok((name, value))
}

/// A text.
///
/// # Errors
/// [`NotationError`] when it is something else.
pub fn text_from_json(json: &Value) -> Result<&str, NotationError> {
    json.as_str().ok_or_else(|| NotationError::new(format!("{} is not a text", shown(json))))
}

/// A whole number: a JSON number, or a text as [`number_from_text`] reads it.
///
/// # Errors
/// [`NotationError`] when it is not one, or not one of the type.
pub fn number_from_json<T: WholeNumber>(json: &Value) -> Result<T, NotationError> {
    let number = match json {
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => T::of(number.into(), false),
            (None, Some(number)) => T::of(number.unsigned_abs().into(), true),
            (None, None) => None,
        },
        Value::String(text) => digits(text),
        _ => None,
    };
    number.ok_or_else(|| not_a_number::<T>(&shown(json)))
}

/// A whole number of decimal digits, or of `0x` and hexadecimal ones, with a `-` before it where it is negative.
///
/// # Errors
/// [`NotationError`] when it is not one, or not one of the type.
pub fn number_from_text<T: WholeNumber>(text: &str) -> Result<T, NotationError> {
    digits(text).ok_or_else(|| not_a_number::<T>(&shown(&Value::from(text))))
}

/// A whole number as JSON: a number as far as every program reads it whole, beyond it a text of its digits.
#[must_use]
pub fn number_to_json(number: impl Into<i128>) -> Value {
    let number = number.into();
    match i64::try_from(number) {
        Ok(small) if small.unsigned_abs() <= EXACT_MAX => Value::from(small),
        _ => Value::from(number.to_string()),
    }
}

/// The types of whole numbers that are read.
pub trait WholeNumber: Sized {
    /// The smallest, and the largest.
    const RANGE: (i128, u128);

    /// This number, or the negative of it. Nothing if the type does not have it.
    fn of(magnitude: u128, negative: bool) -> Option<Self>;
}

macro_rules! whole_numbers {
    ($($type:ty)*) => {
        $(impl WholeNumber for $type {
            const RANGE: (i128, u128) = (<$type>::MIN as i128, <$type>::MAX as u128);

            fn of(magnitude: u128, negative: bool) -> Option<$type> {
                match negative {
                    true => 0i128.checked_sub_unsigned(magnitude)?.try_into().ok(),
                    false => magnitude.try_into().ok(),
                }
            }
        })*
    };
}

whole_numbers!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128);

fn digits<T: WholeNumber>(text: &str) -> Option<T> {
    let (digits, negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    // What follows would take a sign of its own.
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    T::of(u128::from_str_radix(digits, radix).ok()?, negative)
}

fn not_a_number<T: WholeNumber>(found: &str) -> NotationError {
    let (least, most) = T::RANGE;
    NotationError::new(format!(
        "{found} is not a whole number from {least} to {most}; a large one is a text of decimal digits, or of 0x and \
         hexadecimal ones"
    ))
}

/// What was found instead, as much of it as a message has room for.
fn shown(json: &Value) -> String {
    let text = json.to_string();
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The largest whole number that a double holds together with its neighbours: 2^53 - 1.
const EXACT_MAX: u64 = (1 << 53) - 1;

/// Characters of foreign JSON in a message.
const SHOWN_CHARACTERS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_read_as_numbers_decimals_and_hexadecimals() {
        for json in [json!(255), json!("255"), json!("0xff"), json!("0xFF"), json!("00255")] {
            assert_eq!(number_from_json::<u8>(&json), Ok(255));
        }
        assert_eq!(number_from_json::<i64>(&json!("-0x8000000000000000")), Ok(i64::MIN));
        assert_eq!(number_from_json::<u64>(&json!(u64::MAX)), Ok(u64::MAX));
        assert_eq!(number_from_json::<i64>(&json!(-1)), Ok(-1));
        assert_eq!(number_from_json::<u8>(&json!("-0")), Ok(0));
        assert_eq!(number_from_text::<u128>("340282366920938463463374607431768211455"), Ok(u128::MAX));
        assert_eq!(number_from_text::<i128>("-170141183460469231731687303715884105728"), Ok(i128::MIN));
    }

    #[test]
    fn what_is_no_whole_number_of_the_type_is_refused() {
        let texts =
            ["", "-", "0x", "+5", "--5", "-+5", "0x-5", "0x+5", " 5", "5 ", "5.0", "1e3", "1_000", "ff"];
        for json in texts.map(Value::from).into_iter().chain([
            json!(5.0),
            json!(-1),
            json!(256),
            json!("256"),
            json!(null),
            json!([5]),
            json!(true),
            json!("340282366920938463463374607431768211456"),
        ]) {
            let error = number_from_json::<u8>(&json).unwrap_err().to_string();
            assert!(error.contains("is not a whole number from 0 to 255"), "{error}");
        }
        // More than 64 bits is a double by the time that it comes here: its last digits are lost already.
        let double: Value = serde_json::from_str("18446744073709551616").unwrap();
        assert!(number_from_json::<u128>(&double).is_err());
    }

    #[test]
    fn a_number_that_a_double_does_not_hold_is_written_as_a_text() {
        assert_eq!(number_to_json(EXACT_MAX), json!(9_007_199_254_740_991u64));
        assert_eq!(number_to_json(EXACT_MAX + 1), json!("9007199254740992"));
        assert_eq!(number_to_json(-9_007_199_254_740_991i64), json!(-9_007_199_254_740_991i64));
        assert_eq!(number_to_json(i64::MIN), json!("-9223372036854775808"));
        for number in [0, 1, EXACT_MAX, EXACT_MAX + 1, u64::MAX] {
            assert_eq!(number_from_json(&number_to_json(number)), Ok(number));
        }
    }

    #[test]
    fn members_are_exactly_those_that_are_accepted() {
        let found =
            |json: &Value| Members::of(json, &["item", "delta"]).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(found(&json!({"item": 1, "delta": 2})), Ok(()));
        let unknown = "the member 'itm' is not known here; accepted are item, delta";
        assert_eq!(found(&json!({"itm": 1, "delta": 2})), Err(unknown.to_owned()));
        let missing = "the member 'delta' is missing; there must be item, delta";
        assert_eq!(found(&json!({"item": 1})), Err(missing.to_owned()));
        let other = "[1] is not an object; accepted is one with the members item, delta";
        assert_eq!(found(&json!([1])), Err(other.to_owned()));

        let one = json!({"b": 5});
        assert_eq!(only_member(&one, &["a", "b"]).unwrap(), ("b", &json!(5)));
        let not_one = "{} is not an object with one member; accepted is one of a, b";
        assert_eq!(only_member(&json!({}), &["a", "b"]).unwrap_err().to_string(), not_one);
        let not_known = "'c' is not known here; accepted is one of a, b";
        assert_eq!(only_member(&json!({"c": 1}), &["a", "b"]).unwrap_err().to_string(), not_known);
    }

    #[test]
    fn an_error_says_where_and_shows_no_more_than_fits() {
        let error = NotationError::new("is wrong").within("quantity").within_element(2).within("lines");
        assert_eq!(error.within("transfer").to_string(), "transfer.lines[2].quantity: is wrong");
        let long = text_from_json(&json!(alloc::vec![7; 4000])).unwrap_err().to_string();
        assert!(long.len() < 100 && long.ends_with("... is not a text"), "{long}");
        let letters = number_from_text::<u8>(&"ä".repeat(100)).unwrap_err().to_string();
        assert!(letters.starts_with(&format!("\"{}... is not", "ä".repeat(59))), "{letters}");
    }
}
