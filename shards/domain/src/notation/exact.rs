//! JSON that says everything once.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// JSON as it came, in which no object has a member twice. A [`Value`] would keep the last one and drop the others
/// without a word; here it is an error that names it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExactJson(pub Value);

impl<'de> Deserialize<'de> for ExactJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ExactJson, D::Error> {
        deserializer.deserialize_any(ExactVisitor).map(ExactJson)
    }
}

struct ExactVisitor;

impl<'de> Visitor<'de> for ExactVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(ExactJson(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, ExactJson(value))) = members.next_entry::<String, ExactJson>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("the member '{name}' is there twice")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn read(text: &str) -> Result<Value, String> {
        serde_json::from_str(text).map(|ExactJson(value)| value).map_err(|error| error.to_string())
    }

    #[test]
    fn json_is_read_as_it_is() {
        for text in [
            r#"{"a":[1,-2,2.5,"x",null,true,{"a":{"a":18446744073709551615}}],"b":{}}"#,
            "null",
            "[]",
            r#""a text with \" and ä""#,
            "18446744073709551616",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text), Ok(value));
        }
        assert!(read("{").is_err() && read("{} {}").is_err());
    }

    #[test]
    fn a_member_that_is_there_twice_is_named_wherever_it_is() {
        for text in [r#"{"delta":1,"delta":2}"#, r#"[{"a":{"delta":1,"b":0,"delta":1}}]"#] {
            let error = read(text).unwrap_err();
            assert!(error.contains("the member 'delta' is there twice"), "{error}");
        }
    }
}
