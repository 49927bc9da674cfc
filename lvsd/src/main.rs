//! The lvsd daemon and its commands: a thin front of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    lvsd::command::main()
}
