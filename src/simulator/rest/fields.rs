//! `fields`: which members of an item are wanted (contract 5.2).
//!
//! ```text
//! fields = item *( "," item )      ; blanks may stand around names
//! item   = name [ "(" fields ")" ]
//! ```
//!
//! **Invariants.** Bounded in depth, whatever a client writes. A name without
//! brackets is the whole member.

use std::collections::BTreeMap;

use serde_json::Value;

/// No member of an answer lies deeper than seven; more would only try the
/// stack.
const DEEPEST: u32 = 64;

/// What a client gets that names no fields.
const DEFAULT: &str = "trackingId,status(sender(email),recipients,state),transfer(recipients)";

/// Everything that there is.
const KNOWN: &str = "trackingId,\
    status(state,warnings,emlCreationFailed,sender(email,notificationFailed),\
    files(id,removed,removalCause),recipients(mail,id,downloadUrl,notificationFailed,\
    fileDownloads(id,downloads(downloadDate,retrievalMethod)))),\
    transfer(sender(name,phone),recipients(to(mail),cc(mail),bcc(mail)),\
    files(id,fileName,size,checksum,state,href),fileChecksumAlgorithm,expirationDate,\
    securityMode(name,config(passwordMode,password)),notificationMessage(subject,body),\
    senderLanguage,recipientLanguage,showFileNames,showZipFileContent,\
    sendDownloadNotifications,sendDownloadSummary,sendRecipientNotification,\
    sendUploadSummary,classificationId,confidentialMessageFileId)";

/// The members that are wanted, each whole or with what is wanted of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(BTreeMap<String, Option<Fields>>);

/// What becomes of a member that is not wanted (contract, section 8, row 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unwanted {
    Absent,
    Null,
}

impl Fields {
    /// Reads the parameter; none if it breaks the grammar.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader(text);
        let fields = reader.fields(0)?;
        reader.0.trim().is_empty().then_some(fields)
    }

    /// What a client gets that names no fields.
    pub(super) fn of_default() -> Self {
        Self::parse(DEFAULT).unwrap_or_default()
    }

    /// Whether every name is one of the contract's.
    pub(super) fn are_known(&self) -> bool {
        let known = Self::parse(KNOWN);
        known.is_some_and(|known| self.are_among(&known))
    }

    fn are_among(&self, known: &Self) -> bool {
        self.0
            .iter()
            .all(|(name, within)| match (within, known.0.get(name)) {
                (None, Some(_)) => true,
                (Some(within), Some(Some(known))) => within.are_among(known),
                (Some(_), Some(None)) | (_, None) => false,
            })
    }

    /// What is wanted of `whole`; a list is the list of what is wanted of its
    /// items.
    pub(super) fn of(&self, whole: Value, unwanted: Unwanted) -> Value {
        match whole {
            Value::Object(members) => {
                let members = members.into_iter().filter_map(|(name, value)| {
                    let value = match self.0.get(&name) {
                        Some(Some(within)) => within.of(value, unwanted),
                        Some(None) => value,
                        None if unwanted == Unwanted::Null => Value::Null,
                        None => return None,
                    };
                    Some((name, value))
                });
                Value::Object(members.collect())
            }
            Value::Array(items) => {
                let items = items.into_iter().map(|item| self.of(item, unwanted));
                Value::Array(items.collect())
            }
            leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => leaf,
        }
    }

    /// Takes in one more; what is named twice is wanted in both ways.
    fn add(&mut self, name: &str, within: Option<Self>) {
        match (self.0.get_mut(name), within) {
            (None, within) => drop(self.0.insert(name.to_owned(), within)),
            (Some(Some(before)), Some(within)) => {
                for (name, within) in within.0 {
                    before.add(&name, within);
                }
            }
            (Some(before), _) => *before = None,
        }
    }
}

/// What is still to be read.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn fields(&mut self, depth: u32) -> Option<Fields> {
        let mut fields = Fields::default();
        loop {
            let name = self.name()?;
            let within = if self.takes('(') {
                Some(self.bracketed(depth)?)
            } else {
                None
            };
            fields.add(name, within);
            if !self.takes(',') {
                return Some(fields);
            }
        }
    }

    fn bracketed(&mut self, depth: u32) -> Option<Fields> {
        let deeper = (depth < DEEPEST).then_some(depth + 1)?;
        let fields = self.fields(deeper)?;
        self.takes(')').then_some(fields)
    }

    fn name(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let odd = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let (name, rest) = text.split_at(text.find(odd).unwrap_or(text.len()));
        self.0 = rest;
        (!name.is_empty()).then_some(name)
    }

    fn takes(&mut self, sign: char) -> bool {
        let rest = self.0.trim_start().strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn select(fields: &str) -> Value {
        let whole = json!({
            "trackingId": "t1",
            "status": {"state": "ACTIVE", "recipients": [{"id": "r1", "mail": "m1"}, {"id": "r2", "mail": "m2"}]},
            "transfer": {"files": null, "securityMode": {"config": {"passwordMode": "NONE"}}},
        });
        Fields::parse(fields).unwrap().of(whole, Unwanted::Absent)
    }

    #[test]
    fn members_are_selected_at_any_depth() {
        for (fields, expect) in [
            ("trackingId", json!({"trackingId": "t1"})),
            (
                " trackingId , status ( state ) ",
                json!({"trackingId": "t1", "status": {"state": "ACTIVE"}}),
            ),
            (
                "status(recipients(id))",
                json!({"status": {"recipients": [{"id": "r1"}, {"id": "r2"}]}}),
            ),
            (
                "transfer(securityMode(config(passwordMode)))",
                json!({"transfer": {"securityMode": {"config": {"passwordMode": "NONE"}}}}),
            ),
            ("transfer(files(id))", json!({"transfer": {"files": null}})),
            ("nothing,status(nobody)", json!({"status": {}})),
        ] {
            assert_eq!(select(fields), expect, "{fields}");
        }
    }

    #[test]
    fn what_is_named_twice_is_wanted_in_both_ways() {
        let twice = select("status(state),status(recipients(id),recipients(mail))");
        assert_eq!(twice, select("status"));
        assert_eq!(select("status(state),status"), select("status"));
        assert_eq!(select("status,status(state)"), select("status"));
    }

    #[test]
    fn unwanted_members_may_be_null() {
        let fields = Fields::parse("a(b)").unwrap();
        let told = fields.of(json!({"a": {"b": 1, "c": 2}, "d": 3}), Unwanted::Null);
        assert_eq!(told, json!({"a": {"b": 1, "c": null}, "d": null}));
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        let deep = |depth| "a(".repeat(depth) + "a" + &")".repeat(depth);
        for text in [
            "",
            " ",
            ",",
            "a,",
            ",a",
            "a,,b",
            "a()",
            "a(b",
            "a)b",
            "a(b))",
            "a b",
            "a;b",
            "(a)",
            "a(b,)",
            "ä",
            &deep(5_000),
        ] {
            assert_eq!(Fields::parse(text), None, "{text}");
        }
        assert!(Fields::parse(&deep(60)).is_some());
    }

    #[test]
    fn names_are_known_where_the_contract_has_them() {
        let is_known = |text| Fields::parse(text).unwrap().are_known();
        assert!(is_known(DEFAULT) && is_known(KNOWN));
        for odd in ["state", "status(files(size))", "trackingId(a)"] {
            assert!(!is_known(odd), "{odd}");
        }
    }
}
