//! What the examples share: the exporter as a process of its own.
//!
//! An example starts itself anew with a first argument that makes it the
//! exporter, so nothing else need be built.
//!
//! **Invariants.** The process ends with whoever has started it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
};

use anyhow::Context;
use cryptshare_exporter::cli;

/// The first argument of a process that is an exporter.
const EXPORTER: &str = "as-exporter";

/// Is the exporter, if this process was started as one.
pub(crate) fn exporter() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let program = arguments.next();
    let mut rest = arguments.peekable();
    rest.next_if(|first| first == EXPORTER)?;
    Some(cli::run(program.into_iter().chain(rest)))
}

/// An exporter that listens.
pub(crate) struct Exporter {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Exporter {
    /// Starts one with this configuration; `hear` is told every line after the
    /// one that says where it listens.
    pub(crate) fn start(
        file: &Path,
        arguments: &[&str],
        hear: impl FnMut(String) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([EXPORTER, "--web.listen-address", "127.0.0.1:0"])
            .args(arguments)
            .arg("--config.file")
            .arg(file)
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("there is no standard error")?;
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("msg=listening"));
        let line = line.context("the exporter did not start")?;
        let (_, address) = line.split_once("address=").context("there is no address")?;
        let url = format!("http://{address}");
        std::thread::spawn(move || lines.for_each(hear));
        Ok(Self { child, url })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
