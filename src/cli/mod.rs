//! The command line.
//!
//! **Invariants.** Flags are named as those of Prometheus and its own
//! exporters; every exit code is documented in `--help`.

mod arguments;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{CommandFactory, Parser};
use clap_complete::Shell;

use arguments::{
    CatalogWord, Cli, Command, HealthcheckArgs, LIST, ShowWord, SimulateArgs, StateCommand,
};

use crate::{
    app::{
        self, CatalogFormat, DemoOptions, Export, Import, Listen, Quirks, RunOptions, Show,
        ShowFormat, SimulateOptions, VerifyOptions,
    },
    config::Config,
    logging,
};

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Does what `arguments` say, the name of the program first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Cli { command, run, log } = Cli::parse_from(arguments);
    let log = logging::Settings {
        level: log.log_level,
        format: log.log_format,
    };
    match command {
        None if run.config_check => check(&run.config_file, run.web_config_file.as_deref()),
        None if run.state_reset => app::reset(&run.config_file),
        None => app::run(&RunOptions {
            config_file: run.config_file,
            web_config_file: run.web_config_file,
            listen: if run.systemd_socket {
                Listen::Systemd
            } else {
                Listen::At(run.listen)
            },
            telemetry_path: run.telemetry_path,
            enable_lifecycle: run.enable_lifecycle,
            auto_reload: run.auto_reload.then_some(run.auto_reload_interval),
            log,
        }),
        Some(Command::Demo { listen, speed }) => app::demo(&DemoOptions { listen, speed, log }),
        Some(Command::Simulate(args)) => simulate(&args, log),
        Some(Command::Verify {
            config_file,
            server,
            sender,
        }) => app::verify(&VerifyOptions {
            config_file,
            server,
            sender,
            log,
        }),
        Some(Command::Healthcheck(HealthcheckArgs { target, insecure })) => {
            app::healthcheck(&target, insecure)
        }
        Some(Command::Completions { shell }) => completions(shell),
        Some(Command::Man { command }) => man(&command),
        Some(Command::Metrics { format }) => app::catalog(match format {
            CatalogWord::Markdown => CatalogFormat::Markdown,
            CatalogWord::Json => CatalogFormat::Json,
        }),
        Some(Command::State(command)) => state(command),
    }
}

fn completions(shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut text);
    app::print(&String::from_utf8_lossy(&text))
}

/// Prints the manual page of the command that `path` leads to.
fn man(path: &[String]) -> ExitCode {
    let mut command = Cli::command();
    command.build();
    let mut found = &command;
    for name in path {
        let Some(below) = found.find_subcommand(name) else {
            app::complain(&format!("there is no command {}", path.join(" ")));
            return ExitCode::from(app::EXIT_USAGE);
        };
        found = below;
    }
    let mut text = Vec::new();
    // Nothing fails that is written into memory.
    drop(clap_mangen::Man::new(found.clone()).render(&mut text));
    app::print(&String::from_utf8_lossy(&text))
}

fn state(command: StateCommand) -> ExitCode {
    match command {
        StateCommand::Show { place, format } => app::show(&Show {
            place: place.place(),
            format: match format {
                ShowWord::Table => ShowFormat::Table,
                ShowWord::Json => ShowFormat::Json,
            },
        }),
        StateCommand::Export {
            place,
            sender,
            server,
        } => app::export(&Export {
            place: place.place(),
            sender,
            server,
        }),
        StateCommand::Import {
            place,
            file,
            server,
            replace,
        } => app::import(&Import {
            place: place.place(),
            file,
            server,
            replace,
        }),
    }
}

fn simulate(args: &SimulateArgs, log: logging::Settings) -> ExitCode {
    let asks = |names: &[String]| names.iter().any(|name| name == LIST);
    if asks(&args.quirks) {
        return app::print(&Quirks::explanation());
    }
    if asks(&args.faults) {
        return app::print(&app::fault_explanation());
    }
    let faults = args.faults.iter();
    app::simulate(&SimulateOptions {
        listen: args.listen,
        seed: args.seed,
        speed: args.speed,
        senders: args.senders,
        transfers: args.transfers,
        ended: args.ended,
        activity: args.activity,
        api_minor: args.api_minor,
        // Each was checked when it was read.
        quirks: Quirks::parse(&args.quirks).unwrap_or_default(),
        faults: faults
            .filter_map(|fault| app::read_fault(fault).ok())
            .collect(),
        log,
    })
}

/// Says whether the configuration is good, and that of the web if there is one.
fn check(file: &Path, web: Option<&Path>) -> ExitCode {
    let summaries = [check_main(file), web.map_or(Some(String::new()), check_web)];
    let mut told = summaries.iter().flatten().filter(|text| !text.is_empty());
    let said = told.try_for_each(|summary| app::say(summary));
    if summaries.iter().all(Option::is_some) {
        app::finish(said)
    } else {
        ExitCode::from(app::EXIT_CONFIG)
    }
}

fn check_web(file: &Path) -> Option<String> {
    match app::check_web(file) {
        Ok((summary, warnings)) => {
            for warning in warnings {
                app::complain(&format!("{}:{warning} (warning)", file.display()));
            }
            Some(format!("{}: ok; {summary}", file.display()))
        }
        Err(error) => {
            app::complain(&format!("{error:#}"));
            None
        }
    }
}

/// What is in the configuration, if it is good.
fn check_main(file: &Path) -> Option<String> {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            app::complain(&error);
            return None;
        }
    };
    for warning in &config.warnings {
        app::complain(&format!("{}:{warning} (warning)", file.display()));
    }
    if let Err(error) = app::rehearse(&config) {
        app::complain(&format!("{}: {error:#}", file.display()));
        return None;
    }
    match app::look_at_state(&config) {
        Ok(None) => {}
        Ok(Some(odd)) => app::complain(&format!("{}: {odd} (warning)", file.display())),
        Err(error) => {
            app::complain(&format!("{}: {error:#}", file.display()));
            return None;
        }
    }
    let senders = config.servers.iter().flat_map(|server| &server.senders);
    let transfers: usize = senders.clone().map(|sender| sender.transfers.len()).sum();
    Some(format!(
        "{}: ok; servers: {}, senders: {}, named transfers: {transfers}",
        file.display(),
        config.servers.len(),
        senders.count(),
    ))
}

#[cfg(test)]
mod tests {
    use super::{arguments::version, *};
    use crate::telemetry;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_version_names_revision_and_compiler() {
        assert!(version().contains(telemetry::REVISION));
        assert!(version().contains(telemetry::RUSTC));
    }
}
