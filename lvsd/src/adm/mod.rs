//! ipvsadm's command line, apart from who answers it: the same grammar, messages, exit codes and listings serve
//! `lvsadm` over the control socket and `lvsd replay` in memory.
//!
//! ```text
//! argv -> args::parse -> Command -> Request -> Backend -> Response -> render -> text
//! ```

mod names;

use std::io::{BufRead, Write};

pub use names::Names;

use crate::message::{Request, Response};

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
    _args: &[&str],
    _names: Names,
    _stdin: &mut dyn BufRead,
    _backend: &mut dyn Backend,
    _out: &mut dyn Write,
    _err: &mut dyn Write,
) -> u8 {
    255
}
