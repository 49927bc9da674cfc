//! Cuts an argument vector into options and their values, the way the popt library does for ipvsadm.
//!
//! Long names must be whole (`--numeric`, never `--num`); short ones may be bundled (`-Lnc`); a value follows in the
//! next argument, in the same one (`-t10.0.0.1:80`) or after `=` (`--persistent=300`, `-p=300`). An optional value is
//! not taken from an argument that begins with a dash. Arguments that are no options may stand anywhere.

use super::failure::Failure;
use super::option::{Opt, Spec, TABLE, Value};

/// One option with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// Which option.
    pub(super) opt: Opt,
    /// Its value; none for an option without, or for an optional one that was left out.
    pub(super) value: Option<&'a str>,
}

/// A walk over an argument vector.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    args: &'a [&'a str],
    next: usize,
    bundle: Option<&'a str>,
    only_operands: bool,
    operands: Vec<&'a str>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(args: &'a [&'a str]) -> Self {
        Self { args, next: 0, bundle: None, only_operands: false, operands: Vec::new() }
    }

    /// The next option, or none at the end of the vector.
    pub(super) fn next_option(&mut self) -> Result<Option<Found<'a>>, Failure> {
        loop {
            if let Some(bundle) = self.bundle.take() {
                return self.short(bundle).map(Some);
            }
            let Some(&arg) = self.args.get(self.next) else { return Ok(None) };
            self.next += 1;
            if self.only_operands || !arg.starts_with('-') || arg == "-" {
                self.operands.push(arg);
            } else if arg == "--" {
                self.only_operands = true;
            } else if let Some(long) = arg.strip_prefix("--") {
                return self.long(long).map(Some);
            } else {
                self.bundle = Some(&arg[1..]);
            }
        }
    }

    /// The argument that was read last, which is how mistakes are named.
    pub(super) fn last_argument(&self) -> &'a str {
        self.args.get(self.next.wrapping_sub(1)).copied().unwrap_or_default()
    }

    /// Whether anything stood there that was no option.
    pub(super) fn has_operands(&self) -> bool {
        !self.operands.is_empty()
    }

    /// What was no option, in order; complete once the options are.
    pub(super) fn operands(self) -> Vec<&'a str> {
        self.operands
    }

    fn long(&mut self, text: &'a str) -> Result<Found<'a>, Failure> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let spec = TABLE.iter().find(|spec| spec.long == name).ok_or_else(|| self.unknown())?;
        if value.is_some() && spec.value == Value::None {
            return Err(self.unwanted());
        }
        self.found(spec, value)
    }

    fn short(&mut self, bundle: &'a str) -> Result<Found<'a>, Failure> {
        let mut rest = bundle.chars();
        let letter = rest.next();
        let spec = TABLE.iter().find(|spec| spec.short.is_some() && spec.short == letter);
        let spec = spec.ok_or_else(|| self.unknown())?;
        let rest = Some(rest.as_str()).filter(|rest| !rest.is_empty());
        if spec.value == Value::None {
            if rest.is_some_and(|rest| rest.starts_with('=')) {
                return Err(self.unwanted());
            }
            self.bundle = rest;
            return Ok(Found { opt: spec.opt, value: None });
        }
        // popt drops the sign of equality twice over
        let value = rest.map(|rest| rest.strip_prefix('=').unwrap_or(rest));
        self.found(spec, value.map(|value| value.strip_prefix('=').unwrap_or(value)))
    }

    fn found(&mut self, spec: &Spec, attached: Option<&'a str>) -> Result<Found<'a>, Failure> {
        let value = match (spec.value, attached) {
            (Value::None, _) => None,
            (Value::Needed | Value::Optional, Some(value)) => Some(value),
            (Value::Needed, None) => match self.args.get(self.next) {
                Some(&value) => {
                    self.next += 1;
                    Some(value)
                }
                None => return Err(Failure::unreadable(self.last_argument(), "missing argument")),
            },
            (Value::Optional, None) => {
                let value = self.args.get(self.next).copied().filter(|value| !value.starts_with('-'));
                self.next += usize::from(value.is_some());
                value
            }
        };
        Ok(Found { opt: spec.opt, value })
    }

    fn unknown(&self) -> Failure {
        Failure::unreadable(self.last_argument(), "unknown option")
    }

    fn unwanted(&self) -> Failure {
        Failure::unreadable(self.last_argument(), "option does not take an argument")
    }
}
