//! A request, read to its end.
//!
//! **Invariants.** A header or its query twin; an empty one is absent.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value};

use super::language;

/// What must be an object: by itself, serde reads a struct from a list, too.
#[derive(Debug, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: for<'a> Deserialize<'a>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::deserialize(deserializer)?;
        let read = serde_json::from_value(Value::Object(members));
        read.map(Self).map_err(Error::custom)
    }
}

/// A request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: hyper::Method,
    pub(super) uri: hyper::Uri,
    pub(super) headers: hyper::HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    /// The language that is wanted, of those that there are.
    pub(super) fn language(&self) -> &'static str {
        language::best(self.header("accept-language").unwrap_or_default())
    }

    /// Whether every header can be read.
    pub(super) fn is_text(&self) -> bool {
        self.headers.values().all(|value| value.to_str().is_ok())
    }

    /// A header that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A parameter of the query, decoded.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let pairs = url::form_urlencoded::parse(self.uri.query()?.as_bytes());
        let mut named = pairs.filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.into_owned())
    }

    /// A header or its query twin.
    pub(super) fn parameter(&self, header: &str, twin: &str) -> Option<String> {
        let told = |value: &String| !value.is_empty();
        let value = self.header(header).map(str::to_owned).filter(told);
        value.or_else(|| self.query(twin).filter(told))
    }

    /// The body as an object, and that as `T`; none if it is neither.
    pub(super) fn object<T: for<'de> Deserialize<'de>>(&self) -> Option<T> {
        let Object(body) = self.json().ok()?;
        Some(body)
    }

    /// The body as JSON; an empty one is an empty object.
    ///
    /// # Errors
    /// If it is no JSON, or not of this shape.
    pub(super) fn json<T: for<'de> Deserialize<'de>>(&self) -> serde_json::Result<T> {
        let text: &[u8] = if self.body.is_empty() {
            b"{}"
        } else {
            &self.body
        };
        serde_json::from_slice(text)
    }
}
