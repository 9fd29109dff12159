//! One member of an answer, tolerant of being absent, null, of a wrong type or
//! there twice.
//!
//! **Invariants.** A value of a wrong type is skipped whole and never ends the
//! reading: only the grammar of JSON can do that.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// A member as the server told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Told<T> {
    /// Absent or null.
    #[default]
    Not,
    /// Of another type than the contract says.
    Wrong,
    /// As the contract says.
    Is(T),
}

impl<T> Told<T> {
    /// The value, if there is one of the right type.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Not | Self::Wrong => None,
        }
    }

    /// Whether there is a value of the right type.
    pub(super) const fn is_told(&self) -> bool {
        matches!(self, Self::Is(_))
    }

    /// Takes the value of a member that may have stood before: the last one of
    /// the right type counts, so a wrong one beside it loses nothing.
    pub(super) fn tell(&mut self, value: Self) {
        if value.is_told() || !self.is_told() {
            *self = value;
        }
    }
}

impl<T> From<Option<T>> for Told<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Wrong, Self::Is)
    }
}

/// What kinds of JSON value a type can be read from; every other kind is
/// skipped and told as wrong.
pub(super) trait Shape<'de>: Sized {
    fn text(_: &str) -> Option<Self> {
        None
    }

    fn flag(_: bool) -> Option<Self> {
        None
    }

    fn number(_: u64) -> Option<Self> {
        None
    }

    fn object<A: MapAccess<'de>>(mut members: A) -> Result<Option<Self>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn array<A: SeqAccess<'de>>(mut items: A) -> Result<Option<Self>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl Shape<'_> for Box<str> {
    fn text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Shape<'_> for bool {
    fn flag(flag: bool) -> Option<Self> {
        Some(flag)
    }
}

impl Shape<'_> for u64 {
    fn number(number: u64) -> Option<Self> {
        Some(number)
    }
}

/// A list: its good items are kept, of the others only the number, so that a
/// body full of rubbish takes no more memory than it has bytes.
#[derive(Debug)]
pub(super) struct List<T> {
    /// The items of the right type.
    pub(super) items: Vec<T>,
    /// How many were not.
    pub(super) rejected: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            rejected: 0,
        }
    }
}

impl<'de, T: Shape<'de>> Shape<'de> for List<T> {
    fn array<A: SeqAccess<'de>>(mut items: A) -> Result<Option<Self>, A::Error> {
        let mut list = Self::default();
        while let Some(item) = items.next_element::<Told<T>>()? {
            match item.value() {
                Some(item) => list.items.push(item),
                None => list.rejected += 1,
            }
        }
        Ok(Some(list))
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Told<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ToldVisitor(PhantomData))
    }
}

struct ToldVisitor<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for ToldVisitor<T> {
    type Value = Told<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Told::Not)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::text(text).into())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(T::flag(flag).into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(T::number(number).into())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Told::Wrong)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Told::Wrong)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::object(members).map(Into::into)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        T::array(items).map(Into::into)
    }
}

/// The name of a member, borrowed where it has no escapes.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}
