//! The program; everything it does lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cryptshare_exporter::cli::main()
}
