//! Carries command lines out: asks the back end, prints what it answers, settles the exit status.

use std::io::{BufRead, Write};

use super::{
    Backend, args,
    command::{Command, Encoding, Format, Listing},
    failure::REFUSED,
    help,
    names::Names,
    option::Verb,
    refusal,
    render::{self, Writing},
};
use crate::message::{Request, Response};

/// The exit status of a listing that was refused.
const LISTING_REFUSED: u8 = 1;

/// Whether the command lines after this one are still read (`-R`).
enum Outcome {
    GoesOn(u8),
    Ends(u8),
}

/// One run of the program: who answers, and where the text goes.
pub(super) struct Session<'a> {
    names: Names,
    backend: &'a mut dyn Backend,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        names: Names,
        backend: &'a mut dyn Backend,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Self {
        Self { names, backend, out, err }
    }

    pub(super) fn run(&mut self, args: &[&str], stdin: &mut dyn BufRead) -> u8 {
        let command = args::parse(args, self.names);
        let status = match command {
            Ok(Command::Restore) => self.restore(stdin),
            Ok(command) => match self.carry_out(command) {
                Outcome::GoesOn(status) | Outcome::Ends(status) => status,
            },
            Err(failure) => {
                self.complain(&failure.text);
                failure.status
            }
        };
        let _ = self.out.flush();
        status
    }

    /// Every line is a command line; the last one's status is that of all, unless one ends it before.
    fn restore(&mut self, stdin: &mut dyn BufRead) -> u8 {
        let mut status = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            match stdin.read_until(b'\n', &mut line) {
                Ok(0) => return status,
                Ok(_) => {}
                Err(error) => {
                    self.complain(&format!("cannot read the rules: {error}\n"));
                    return REFUSED;
                }
            }
            match self.restore_line(&String::from_utf8_lossy(&line)) {
                None => {}
                Some(Outcome::GoesOn(last)) => status = last,
                Some(Outcome::Ends(last)) => return last,
            }
        }
    }

    fn restore_line(&mut self, line: &str) -> Option<Outcome> {
        let words = line.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty() && *word != "ipvsadm");
        let words: Vec<&str> = words.collect();
        if words.is_empty() {
            return None;
        }
        Some(match args::parse(&words, self.names) {
            Ok(Command::Restore) => {
                self.complain(&super::failure::Failure::no_command().text);
                Outcome::Ends(REFUSED)
            }
            Ok(command) => self.carry_out(command),
            Err(failure) => {
                self.complain(&failure.text);
                if failure.goes_on { Outcome::GoesOn(failure.status) } else { Outcome::Ends(failure.status) }
            }
        })
    }

    fn carry_out(&mut self, command: Command) -> Outcome {
        match command {
            Command::Help => {
                self.print(help::VERSION);
                self.print(help::USAGE);
                Outcome::Ends(0)
            }
            Command::Version => {
                self.print(help::VERSION);
                Outcome::Ends(0)
            }
            Command::Change(verb, request) => self.change(verb, request),
            Command::List(listing, format) => match self.list(listing, format) {
                0 => Outcome::GoesOn(0),
                status => Outcome::Ends(status),
            },
            // answered where standard input is at hand
            Command::Restore => Outcome::Ends(REFUSED),
        }
    }

    fn change(&mut self, verb: Verb, request: Request) -> Outcome {
        // without a daemon the lines after this one would fare no better
        let Some(response) = self.ask(request) else { return Outcome::Ends(REFUSED) };
        Outcome::GoesOn(match response {
            Response::Done => 0,
            Response::Refused { error } => {
                self.complain(&format!("{}\n", refusal::text(verb, error)));
                REFUSED
            }
            Response::Malformed { .. }
            | Response::Services { .. }
            | Response::Connections { .. }
            | Response::Timeouts(_)
            | Response::Daemons { .. }
            | Response::Sysctls { .. }
            | Response::Drops { .. }
            | Response::Status(_)
            | Response::Health { .. }
            | Response::Reloaded(_)
            | Response::Vrrp(_)
            | Response::Marks { .. }
            | Response::Totals(_) => self.unexpected(&response),
        })
    }

    fn list(&mut self, listing: Listing, format: Format) -> u8 {
        let request = match listing {
            Listing::Services(id) => Request::List { id },
            Listing::Connections => Request::Connections,
            Listing::Timeouts => Request::Timeouts,
            Listing::Daemons => Request::Daemons,
        };
        let is_titled =
            listing == Listing::Services(None) && format.columns != super::command::Columns::Rules;
        let Some(response) = self.ask(request) else { return REFUSED };
        if format.encoding == Encoding::Text && is_titled {
            self.print(&render::title());
        }
        if let Response::Refused { error } = response {
            self.complain(&format!("{}\n", refusal::text(Verb::List, error)));
            return LISTING_REFUSED;
        }
        if format.encoding == Encoding::Json {
            return self.list_json(&response);
        }
        let writing = Writing { numbers: format.numbers, names: self.names };
        let text = match response {
            Response::Services { services } => render::services(services, format, writing),
            Response::Connections { connections } => {
                render::connections(&connections, format.columns, writing)
            }
            Response::Timeouts(timeouts) => render::timeouts(&timeouts),
            Response::Daemons { daemons } => render::daemons(&daemons),
            Response::Done
            | Response::Refused { .. }
            | Response::Malformed { .. }
            | Response::Sysctls { .. }
            | Response::Drops { .. }
            | Response::Status(_)
            | Response::Health { .. }
            | Response::Reloaded(_)
            | Response::Vrrp(_)
            | Response::Marks { .. }
            | Response::Totals(_) => return self.unexpected(&response),
        };
        self.print(&text);
        0
    }

    fn list_json(&mut self, response: &Response) -> u8 {
        match serde_json::to_string_pretty(response) {
            Ok(text) => {
                self.print(&format!("{text}\n"));
                0
            }
            Err(error) => {
                self.complain(&format!("cannot write the listing as JSON: {error}\n"));
                REFUSED
            }
        }
    }

    fn ask(&mut self, request: Request) -> Option<Response> {
        match self.backend.call(request) {
            Ok(response) => Some(response),
            Err(error) => {
                self.complain(&format!("{error}\n"));
                None
            }
        }
    }

    fn unexpected(&mut self, response: &Response) -> u8 {
        if let Response::Malformed { message } = response {
            self.complain(&format!("the daemon could not read the request: {message}\n"));
        } else {
            self.complain("the daemon answered something other than it was asked\n");
        }
        REFUSED
    }

    // A reader that has gone away (`lvsadm -L | head`) is nothing to fail about.
    fn print(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
    }

    fn complain(&mut self, text: &str) {
        // both may be the same terminal: keep their order
        let _ = self.out.flush();
        let _ = self.err.write_all(text.as_bytes());
    }
}
