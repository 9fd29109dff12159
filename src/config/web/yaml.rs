//! YAML read key by key, with the line of each.
//!
//! A mapping gives out the keys that it is asked for; whatever is left when it
//! is finished is unknown. A text is any scalar, as Prometheus reads it.
//!
//! **Invariants.** A problem never quotes a value, for it may be a secret. The
//! depth of nesting is bounded.

use std::iter::Peekable;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::config::{
    Problem,
    document::{Place, Problems, instead_of},
};

/// No key of the file lies deeper than four levels.
const DEEPEST: usize = 8;

/// A value and the line on which it begins.
#[derive(Debug)]
struct Node {
    line: usize,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Nothing,
    Scalar { text: String, is_plain: bool },
    List(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Debug)]
struct Entry {
    line: usize,
    key: String,
    value: Node,
}

impl Value {
    fn article(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Scalar { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

/// The mapping that `text` is; an empty file is an empty one.
///
/// # Errors
/// If it is no YAML, or another kind of YAML.
pub(super) fn parse(text: &str, problems: Problems) -> Result<Mapping, Problem> {
    let node = document(text)?;
    let root = Place {
        line: node.line,
        key: "file".to_owned(),
    };
    match node.value {
        Value::Nothing => Ok(Mapping::new(Vec::new(), String::new(), root, problems)),
        Value::Mapping(entries) => Ok(Mapping::new(entries, String::new(), root, problems)),
        other @ (Value::Scalar { .. } | Value::List(_)) => {
            let wrong = format!("is {}", other.article());
            Err(root.problem(wrong, "write keys such as tls_server_config:"))
        }
    }
}

type Events<'a> = Peekable<Parser<'a, StrInput<'a>>>;

/// The one document of a file.
fn document(text: &str) -> Result<Node, Problem> {
    let mut events = Parser::new_from_str(text).peekable();
    let mut found = Node {
        line: 1,
        value: Value::Nothing,
    };
    let mut count = 0;
    loop {
        match events.peek() {
            None | Some(Ok((Event::StreamEnd, _))) => return Ok(found),
            Some(Ok((Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _))) => {
                events.next();
            }
            Some(_) if count == 0 => {
                found = node(&mut events, 0)?;
                count += 1;
            }
            Some(Ok((_, span))) => {
                let wrong = "a second document begins";
                return Err(syntax(span.start.line(), wrong, "keep one"));
            }
            Some(Err(error)) => return Err(no_yaml(error)),
        }
    }
}

fn next<'a>(events: &mut Events<'a>) -> Result<(Event<'a>, Span), Problem> {
    match events.next() {
        Some(Ok(event)) => Ok(event),
        Some(Err(error)) => Err(no_yaml(&error)),
        None => Err(syntax(1, "ends too early", "complete it")),
    }
}

fn node(events: &mut Events<'_>, depth: usize) -> Result<Node, Problem> {
    let (event, span) = next(events)?;
    let line = span.start.line();
    if depth > DEEPEST {
        let remedy = "the keys are those of the exporter toolkit";
        return Err(syntax(line, "is nested too deeply", remedy));
    }
    let value = match event {
        Event::Scalar(text, style, _, None) => {
            let is_plain = style == ScalarStyle::Plain;
            match &*text {
                "" | "~" | "null" | "Null" | "NULL" if is_plain => Value::Nothing,
                text => Value::Scalar {
                    text: text.to_owned(),
                    is_plain,
                },
            }
        }
        Event::SequenceStart(_, None) => Value::List(list(events, depth)?),
        Event::MappingStart(_, None) => Value::Mapping(mapping(events, depth)?),
        Event::Alias(_) => return Err(syntax(line, "is an alias", "write the value itself")),
        Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
            return Err(syntax(line, "has a tag", "leave the tag out"));
        }
        Event::Nothing
        | Event::StreamStart
        | Event::StreamEnd
        | Event::DocumentStart(_)
        | Event::DocumentEnd
        | Event::SequenceEnd
        | Event::MappingEnd => return Err(syntax(line, "a value is missing", "add it")),
    };
    Ok(Node { line, value })
}

fn list(events: &mut Events<'_>, depth: usize) -> Result<Vec<Node>, Problem> {
    let mut nodes = Vec::new();
    while !matches!(events.peek(), Some(Ok((Event::SequenceEnd, _)))) {
        nodes.push(node(events, depth + 1)?);
    }
    events.next();
    Ok(nodes)
}

fn mapping(events: &mut Events<'_>, depth: usize) -> Result<Vec<Entry>, Problem> {
    let mut entries: Vec<Entry> = Vec::new();
    while !matches!(events.peek(), Some(Ok((Event::MappingEnd, _)))) {
        let Node { line, value } = node(events, depth + 1)?;
        let Value::Scalar { text: key, .. } = value else {
            let wrong = format!("a key is {}", value.article());
            return Err(syntax(line, &wrong, "write a name"));
        };
        if entries.iter().any(|entry| entry.key == key) {
            // Elsewhere keys are quoted, but this one may be a user's name with
            // his hash in front of the colon.
            return Err(syntax(line, "a key stands twice", "keep one of them"));
        }
        let value = node(events, depth + 1)?;
        entries.push(Entry { line, key, value });
    }
    events.next();
    Ok(entries)
}

fn no_yaml(error: &ScanError) -> Problem {
    let wrong = format!("is not YAML ({})", error.info());
    let line = error.marker().line();
    syntax(line, &wrong, "look at the line and the one before it")
}

fn syntax(line: usize, wrong: &str, remedy: &str) -> Problem {
    Problem {
        line: line.max(1),
        key: "file".to_owned(),
        wrong: wrong.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// A mapping that is being read.
pub(super) struct Mapping {
    left: Vec<Entry>,
    told: Vec<String>,
    known: Vec<&'static str>,
    path: String,
    pub(super) place: Place,
    pub(super) problems: Problems,
}

impl Mapping {
    fn new(left: Vec<Entry>, path: String, place: Place, problems: Problems) -> Self {
        let has_value = |entry: &&Entry| !matches!(entry.value.value, Value::Nothing);
        let told = left.iter().filter(has_value);
        Self {
            told: told.map(|entry| entry.key.clone()).collect(),
            left,
            known: Vec::new(),
            path,
            place,
            problems,
        }
    }

    /// Takes the value of `key`, unless it is left empty.
    fn take(&mut self, key: &'static str) -> Option<(Place, Value)> {
        self.known.push(key);
        let at = self.left.iter().position(|entry| entry.key == key)?;
        let Entry { line, value, .. } = self.left.remove(at);
        let place = self.at(line, key);
        (!matches!(value.value, Value::Nothing)).then_some((place, value.value))
    }

    fn at(&self, line: usize, key: &str) -> Place {
        // A hash that stands where a name should is told to nobody.
        let key = if key.contains("$2") { "…" } else { key };
        let key = match &*self.path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        Place { line, key }
    }

    /// Whether the key stood in the mapping with a value, however wrong.
    pub(super) fn is_told(&self, key: &str) -> bool {
        self.told.iter().any(|told| told == key)
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str) -> Option<(Place, String)> {
        let (place, value) = self.take(key)?;
        let text = self.scalar(&place, value)?;
        Some((place, text))
    }

    /// A text that is read by `parse`, which says what would be right.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, (String, String)>,
    ) -> Option<T> {
        let (place, text) = self.text(key)?;
        let told = parse(&text);
        self.judged(&place, told)
    }

    /// Yes or no, as YAML 1.1 spells it.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let (place, value) = self.take(key)?;
        let flag = match &value {
            Value::Scalar {
                text,
                is_plain: true,
            } => truth(text),
            Value::Scalar { .. } | Value::Nothing | Value::List(_) | Value::Mapping(_) => None,
        };
        if flag.is_none() {
            let problem = place.problem("is neither true nor false", "write true or false");
            self.problems.add(problem);
        }
        flag
    }

    /// A list of texts, each read by `parse`.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, (String, String)>,
    ) -> Option<Vec<T>> {
        let (place, value) = self.take(key)?;
        let Value::List(nodes) = value else {
            self.wrong_kind(&place, &value, "a list");
            return None;
        };
        let mut items = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let key = format!("{}[{index}]", place.key);
            let place = Place {
                line: node.line,
                key,
            };
            let text = self.scalar(&place, node.value);
            items.extend(text.and_then(|text| self.judged(&place, parse(&text))));
        }
        Some(items)
    }

    /// A mapping below this one.
    pub(super) fn mapping(&mut self, key: &'static str) -> Option<Self> {
        let (place, value) = self.take(key)?;
        let Value::Mapping(entries) = value else {
            self.wrong_kind(&place, &value, "a mapping");
            return None;
        };
        let path = place.key.clone();
        Some(Self::new(entries, path, place, self.problems.clone()))
    }

    /// Every entry of a mapping whose keys are free, as texts; an empty value
    /// is an empty text.
    pub(super) fn texts(mut self) -> Vec<(Place, String, String)> {
        let mut texts = Vec::new();
        for Entry { line, key, value } in std::mem::take(&mut self.left) {
            let place = self.at(line, &key);
            let text = match value.value {
                Value::Nothing => Some(String::new()),
                value @ (Value::Scalar { .. } | Value::List(_) | Value::Mapping(_)) => {
                    self.scalar(&place, value)
                }
            };
            texts.extend(text.map(|text| (place, key, text)));
        }
        texts
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(self) {
        for entry in &self.left {
            let place = self.at(entry.line, &entry.key);
            let remedy = instead_of(&entry.key, &self.known);
            self.problems.add(place.problem("unknown key", remedy));
        }
    }

    fn scalar(&self, place: &Place, value: Value) -> Option<String> {
        match value {
            Value::Scalar { text, .. } => Some(text),
            other @ (Value::Nothing | Value::List(_) | Value::Mapping(_)) => {
                self.wrong_kind(place, &other, "a single value");
                None
            }
        }
    }

    fn judged<T>(&self, place: &Place, told: Result<T, (String, String)>) -> Option<T> {
        match told {
            Ok(value) => Some(value),
            Err((wrong, remedy)) => {
                self.problems.add(place.problem(wrong, remedy));
                None
            }
        }
    }

    fn wrong_kind(&self, place: &Place, found: &Value, expected: &str) {
        let wrong = format!("is {}", found.article());
        let remedy = format!("write {expected}");
        self.problems.add(place.problem(wrong, remedy));
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "y" | "Y" | "on" | "On" | "ON" => {
            Some(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "n" | "N" | "off" | "Off" | "OFF" => {
            Some(false)
        }
        _ => None,
    }
}
