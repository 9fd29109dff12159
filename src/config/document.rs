//! Reading a TOML table key by key, with the line of each.
//!
//! A reader takes the keys that it knows; whatever is left when it finishes is
//! unknown. Problems are gathered, so that one run tells all of them.
//!
//! **Invariants.** Never stops at the first problem, and never fails.

use std::{
    cell::RefCell,
    ops::{Range, RangeInclusive},
    rc::Rc,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::problem::Problem;

/// Where problems are gathered.
#[derive(Debug, Clone, Default)]
pub(super) struct Problems(Rc<RefCell<Vec<Problem>>>);

impl Problems {
    pub(super) fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// All of them, in the order of the file.
    pub(super) fn take(&self) -> Vec<Problem> {
        let mut problems = self.0.take();
        problems.sort_by_key(|problem| problem.line);
        problems
    }
}

/// A place in the file.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) key: String,
}

impl Place {
    /// The problem at this place.
    pub(super) fn problem(&self, wrong: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem {
            line: self.line,
            key: self.key.clone(),
            wrong: wrong.into(),
            remedy: remedy.into(),
        }
    }
}

/// The line on which each byte of the file stands. The end of the file stands
/// on its last line, for editors show no line after it.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    ends: Rc<[usize]>,
    last: usize,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        Self {
            ends: text.match_indices('\n').map(|(at, _)| at).collect(),
            last: text.lines().count().max(1),
        }
    }

    pub(super) fn at(&self, offset: usize) -> usize {
        let line = self.ends.partition_point(|end| *end < offset) + 1;
        line.min(self.last)
    }
}

/// A table that is being read.
pub(super) struct Table<'a> {
    left: Vec<(String, Range<usize>, Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
    told: Vec<String>,
    path: String,
    pub(super) place: Place,
    lines: Lines,
    pub(super) problems: Problems,
}

impl<'a> Table<'a> {
    /// The top of the file.
    pub(super) fn root(table: DeTable<'a>, lines: Lines, problems: Problems) -> Self {
        let place = Place {
            line: 1,
            key: "file".to_owned(),
        };
        Self::new(table, String::new(), place, (lines, problems))
    }

    fn new(
        table: DeTable<'a>,
        path: String,
        place: Place,
        (lines, problems): (Lines, Problems),
    ) -> Self {
        let entry = |(key, value): (Spanned<std::borrow::Cow<'a, str>>, _)| {
            let span = key.span();
            (key.into_inner().into_owned(), span, value)
        };
        let left: Vec<_> = table.into_iter().map(entry).collect();
        Self {
            told: left.iter().map(|(name, ..)| name.clone()).collect(),
            left,
            known: Vec::new(),
            path,
            place,
            lines,
            problems,
        }
    }

    /// Takes the value of `key`.
    fn take(&mut self, key: &'static str) -> Option<(Place, Spanned<DeValue<'a>>)> {
        self.known.push(key);
        let at = self.left.iter().position(|(name, ..)| name == key)?;
        let (_, span, value) = self.left.remove(at);
        let place = Place {
            line: self.lines.at(span.start),
            key: self.dotted(key),
        };
        Some((place, value))
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Whether the key stood in the table, with whatever value.
    pub(super) fn is_told(&self, key: &str) -> bool {
        self.told.iter().any(|told| told == key)
    }

    /// Records a problem at this table.
    pub(super) fn wrong(&self, wrong: impl Into<String>, remedy: impl Into<String>) {
        self.problems.add(self.place.problem(wrong, remedy));
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str) -> Option<(Place, String)> {
        let (place, value) = self.take(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some((place, text.to_owned())),
            None => self.wrong_type(&place, value.get_ref(), "a text in double quotes"),
        }
    }

    /// A text that is read by `parse`, which says what would be right.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, (String, String)>,
    ) -> Option<(Place, T)> {
        let (place, text) = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some((place, value)),
            Err((wrong, remedy)) => {
                self.problems.add(place.problem(wrong, remedy));
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let (place, value) = self.take(key)?;
        let flag = value.get_ref().as_bool();
        flag.or_else(|| self.wrong_type(&place, value.get_ref(), "true or false, without quotes"))
    }

    /// `true` or `false`, or the word that stands for `special`.
    pub(super) fn flag_or<T>(
        &mut self,
        key: &'static str,
        word: &str,
        special: T,
        plain: impl FnOnce(bool) -> T,
    ) -> Option<T> {
        let (place, value) = self.take(key)?;
        if value.get_ref().as_str() == Some(word) {
            return Some(special);
        }
        let expected = format!("true or false, without quotes, or \"{word}\"");
        match value.get_ref().as_bool() {
            Some(flag) => Some(plain(flag)),
            None => self.wrong_type(&place, value.get_ref(), &expected),
        }
    }

    /// A whole number within `range`.
    pub(super) fn number<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<u64> + PartialOrd + Copy + std::fmt::Display,
    {
        let (place, value) = self.take(key)?;
        let DeValue::Integer(digits) = value.get_ref() else {
            let expected = format!("{}, without quotes", whole_number(&range));
            return self.wrong_type(&place, value.get_ref(), &expected);
        };
        let number = u64::from_str_radix(digits.as_str(), digits.radix());
        let number = number.ok().and_then(|number| T::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let wrong = "is out of range";
            let remedy = format!("write {}", whole_number(&range));
            self.problems.add(place.problem(wrong, remedy));
        }
        number
    }

    /// A table.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Self> {
        let (place, value) = self.take(key)?;
        self.nested(value.into_inner(), place)
    }

    /// A list of tables, as `[[key]]` makes it.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some((place, value)) = self.take(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.into_inner() else {
            let wrong = "is not a list of tables";
            let remedy = format!("write [[{}]]", without_positions(&place.key));
            self.problems.add(place.problem(wrong, remedy));
            return Vec::new();
        };
        if items.is_empty() {
            let remedy = "give at least one entry, or leave the key out";
            self.problems
                .add(place.problem("the list is empty", remedy));
        }
        let mut tables = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let place = Place {
                line: self.lines.at(item.span().start),
                key: format!("{}[{index}]", place.key),
            };
            tables.extend(self.nested(item.into_inner(), place));
        }
        tables
    }

    /// A list of texts.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<(Place, String)> {
        let Some((place, value)) = self.take(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            let expected = "a list of texts in brackets";
            return self
                .wrong_type(&place, value.get_ref(), expected)
                .unwrap_or_default();
        };
        if items.is_empty() {
            let remedy = "give at least one entry, or leave the key out";
            self.problems
                .add(place.problem("the list is empty", remedy));
        }
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = Place {
                line: self.lines.at(item.span().start),
                key: format!("{}[{index}]", place.key),
            };
            let text = item.get_ref().as_str().map(str::to_owned);
            let text =
                text.or_else(|| self.wrong_type(&place, item.get_ref(), "a text in double quotes"));
            texts.extend(text.map(|text| (place, text)));
        }
        texts
    }

    /// Every entry of a table whose keys are free, as texts.
    pub(super) fn texts(mut self) -> Vec<(Place, String, String)> {
        let mut texts = Vec::new();
        for (key, span, value) in std::mem::take(&mut self.left) {
            let place = Place {
                line: self.lines.at(span.start),
                key: self.dotted(&key),
            };
            let text = value.get_ref().as_str().map(str::to_owned);
            let text = text
                .or_else(|| self.wrong_type(&place, value.get_ref(), "a text in double quotes"));
            texts.extend(text.map(|text| (place, key, text)));
        }
        texts
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(self) {
        for (name, span, _) in &self.left {
            let place = Place {
                line: self.lines.at(span.start),
                key: self.dotted(name),
            };
            let remedy = instead_of(name, &self.known);
            self.problems.add(place.problem("unknown key", remedy));
        }
    }

    fn nested(&self, value: DeValue<'a>, place: Place) -> Option<Self> {
        let DeValue::Table(table) = value else {
            return self.wrong_type(&place, &value, "a table");
        };
        let path = place.key.clone();
        let shared = (self.lines.clone(), self.problems.clone());
        Some(Self::new(table, path, place, shared))
    }

    fn wrong_type<T>(&self, place: &Place, found: &DeValue<'_>, expected: &str) -> Option<T> {
        let wrong = format!("is {}", with_article(found.type_str()));
        self.problems
            .add(place.problem(wrong, format!("write {expected}")));
        None
    }
}

fn whole_number<T: std::fmt::Display>(range: &RangeInclusive<T>) -> String {
    format!("a whole number from {} to {}", range.start(), range.end())
}

/// What to write in place of a key that is not `known`.
pub(super) fn instead_of(name: &str, known: &[&str]) -> String {
    let near = known.iter().min_by_key(|known| distance(name, known));
    let near = near.filter(|known| distance(name, known) <= 2 + name.len() / 4);
    match near {
        Some(known) => format!("did you mean \"{known}\"?"),
        None => format!("the keys here are {}", known.join(", ")),
    }
}

/// A key as the file spells it: the positions are ours.
fn without_positions(key: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for c in key.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}

/// How many single edits turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (to, cell) in b.chars().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(distance("poll_intervall", "poll_interval"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
