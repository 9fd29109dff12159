//! The sections of the file, in the order in which they are written.
//!
//! **Invariants.** A section with a problem is read to its end all the same.

mod metrics;
mod secret;
mod server;
mod transfer;
mod watch;
mod way;

use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub(super) use watch::read as read_watch_file;

use super::{
    Config, SenderOptions,
    document::{Lines, Place, Problems, Table},
    input::Inputs,
    problem::Problem,
    values,
};
use crate::{
    files::{self, Content},
    model::Discover,
};

/// Where systemd puts what `LoadCredential=` names. The directory is known by
/// this variable alone, for it bears the name of the unit.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Where files are looked for, and where it is noted what was read and what is
/// odd.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    /// Of relative files.
    directory: PathBuf,
    /// Of files below `${CREDENTIALS_DIRECTORY}`.
    credentials: Option<PathBuf>,
    inputs: Inputs,
    warnings: Problems,
}

impl Surroundings {
    /// Reads the file that a key names; otherwise what could not be read, and
    /// why not.
    fn read(&self, name: &str) -> Result<Content, (String, String)> {
        if name.is_empty() {
            return Err(("\"\"".to_owned(), "it names no file".to_owned()));
        }
        let credential = name.strip_prefix("${CREDENTIALS_DIRECTORY}/");
        if credential.is_none() && name.contains("${") {
            let why = format!("of variables only ${{{CREDENTIALS_DIRECTORY}}}/ is replaced");
            return Err((name.to_owned(), why));
        }
        let path = match (credential, &self.credentials) {
            (None, _) => self.directory.join(name),
            (Some(credential), Some(directory)) => directory.join(credential),
            (Some(_), None) => {
                let why = format!("the environment has no {CREDENTIALS_DIRECTORY}");
                return Err((name.to_owned(), why));
            }
        };
        self.inputs.note(&path);
        files::read(&path).map_err(|error| (path.display().to_string(), error.to_string()))
    }

    fn warn(&self, place: &Place, wrong: &str, remedy: &str) {
        self.warnings.add(place.problem(wrong, remedy));
    }
}

/// What is wrong with a file, and what is only odd.
pub(super) type Findings = (Vec<Problem>, Vec<Problem>);

/// The whole file at `path`, which says `text`.
pub(super) fn read(text: &str, path: &Path) -> Result<Config, Findings> {
    let problems = Problems::default();
    let mut root = root(text, &problems).map_err(|problems| (problems, Vec::new()))?;
    let around = Surroundings {
        directory: path.parent().unwrap_or(Path::new("")).to_owned(),
        credentials: std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from),
        ..Surroundings::default()
    };
    let (state_place, state_directory) = state(&mut root, &around);
    let config = Config {
        state_directory,
        servers: servers(&mut root, &around),
        metrics: metrics::read(root.table("metrics"), &around),
        warnings: around.warnings.take(),
        file: None,
        inputs: around.inputs.take(),
        state_place,
        path: path.to_owned(),
        text: text.into(),
    };
    root.finish();
    match problems.take() {
        none if none.is_empty() => Ok(config),
        problems => Err((problems, config.warnings)),
    }
}

/// The top of a file, if it is TOML.
fn root<'a>(text: &'a str, problems: &Problems) -> Result<Table<'a>, Vec<Problem>> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Table::root(table.into_inner(), lines, problems.clone()));
    }
    let mut problems: Vec<_> = errors.iter().map(|e| syntax(e, &lines)).collect();
    problems.sort_by_key(|problem| problem.line);
    Err(problems)
}

fn syntax(error: &toml::de::Error, lines: &Lines) -> Problem {
    let start = error.span().map_or(0, |span| span.start);
    Problem {
        line: lines.at(start),
        key: "syntax".to_owned(),
        wrong: error.message().trim().replace('\n', ", "),
        remedy: "the file must be TOML".to_owned(),
    }
}

/// Where the state directory stands, or could, and which it is.
fn state(root: &mut Table<'_>, around: &Surroundings) -> (Place, Option<PathBuf>) {
    let nowhere = Place {
        line: 1,
        key: "state.directory".to_owned(),
    };
    let Some(mut table) = root.table("state") else {
        return (nowhere, None);
    };
    let directory = table.parsed("directory", values::directory);
    table.finish();
    directory.map_or((nowhere, None), |(place, text)| {
        (place, Some(around.directory.join(text)))
    })
}

fn servers(root: &mut Table<'_>, around: &Surroundings) -> Vec<super::Server> {
    let defaults = match root.table("defaults") {
        Some(mut table) => {
            let options = options(&mut table, SenderOptions::default());
            table.finish();
            options
        }
        None => SenderOptions::default(),
    };
    let tables = root.tables("server");
    if !root.is_told("server") {
        root.wrong("there is no [[server]]", "add at least one");
    }
    let mut names = Vec::new();
    let mut servers = Vec::new();
    for table in tables {
        servers.extend(server::read(table, &defaults, &mut names, around));
    }
    servers
}

/// What a table says about a sender, over what stands above it.
fn options(table: &mut Table<'_>, above: SenderOptions) -> SenderOptions {
    let mut duration = |key, above| {
        let own = table.parsed(key, values::duration);
        own.map_or(above, |(_, duration)| duration)
    };
    let poll_interval = duration("poll_interval", above.poll_interval);
    let processing_interval = duration("processing_interval", above.processing_interval);
    let rare_interval = duration("rare_interval", above.rare_interval);
    let listing_interval = duration("listing_interval", above.listing_interval);
    let keep_ended = duration("keep_ended", above.keep_ended);
    let max_age = table.parsed("max_age", values::duration);
    let language = table.parsed("language", values::language);
    let discover = table.flag_or("discover", "active", Discover::Active, |all| {
        if all {
            Discover::Everything
        } else {
            Discover::Nothing
        }
    });
    SenderOptions {
        discover: discover.unwrap_or(above.discover),
        poll_interval,
        processing_interval,
        rare_interval,
        listing_interval,
        keep_ended,
        language: language.map_or(above.language, |(_, language)| language),
        max_age: max_age.map(|(_, age)| age).or(above.max_age),
    }
}
