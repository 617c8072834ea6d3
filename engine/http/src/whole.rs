//! Objects with the names of their members. What is derived takes a list of their values as well.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

/// What is read from an object and nothing else.
pub(crate) struct Whole<T>(pub(crate) T);

/// What it is called where something else came.
pub(crate) trait Named {
    const NAME: &'static str;
}

impl<'de, T: Deserialize<'de> + Named> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Whole<T>, D::Error> {
        struct WholeVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Named> Visitor<'de> for WholeVisitor<T> {
            type Value = Whole<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::NAME)
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Whole<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Whole)
            }
        }
        from.deserialize_map(WholeVisitor(PhantomData))
    }
}
