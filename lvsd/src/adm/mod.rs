//! ipvsadm's command line, apart from who answers it: the same grammar, messages, exit codes and listings serve
//! `lvsadm` over the control socket and `lvsd replay` in memory.
//!
//! ```text
//! argv -> args::parse -> Command -> Request -> Backend -> Response -> render -> text
//! ```
//!
//! Two options are lvsadm's own: `--json` prints a listing as the JSON of the control socket's answer, and
//! `--socket PATH` names the daemon's socket. ipvsadm's options cannot be abbreviated, so they collide with none.

mod address;
mod args;
mod command;
mod draft;
mod failure;
mod flags;
mod help;
mod legal;
mod names;
mod option;
mod refusal;
mod render;
mod scan;
mod session;

use std::io::{BufRead, Write};

pub use names::Names;

use crate::message::{Request, Response};
use option::Opt;
use scan::{Found, Scanner};
use session::Session;

/// Who carries requests out: the daemon behind its socket, or a registry in the same process.
pub trait Backend {
    /// Carries one request out.
    ///
    /// # Errors
    ///
    /// When the request did not get an answer at all; a refusal is an answer ([`Response::Refused`]).
    fn call(&mut self, request: Request) -> Result<Response, BackendError>;
}

impl<F: FnMut(Request) -> Response> Backend for F {
    fn call(&mut self, request: Request) -> Result<Response, BackendError> {
        Ok(self(request))
    }
}

/// No answer came; the text names the socket and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BackendError(pub String);

/// Runs one ipvsadm command line and returns its exit status.
///
/// `args` is without the program's name; no arguments at all list the table. `stdin` is read by `-R` only. What
/// ipvsadm prints to its standard output goes to `out`, what it prints to its standard error to `err`; a failing
/// writer is not an error (a closed pipe), the command is carried out all the same.
pub fn run(
    args: &[&str],
    names: Names,
    stdin: &mut dyn BufRead,
    backend: &mut dyn Backend,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    Session::new(names, backend, out, err).run(args, stdin)
}

/// The value of `--socket`, wherever it stands; the last one counts.
///
/// What else is wrong with the arguments is left to [`run`].
pub fn socket<'a>(args: &'a [&'a str]) -> Option<&'a str> {
    let mut scanner = Scanner::new(args);
    let mut socket = None;
    while let Ok(Some(found)) = scanner.next_option() {
        if let Found { opt: Opt::Socket, value } = found {
            socket = value.or(socket);
        }
    }
    socket
}

#[cfg(test)]
mod tests;
