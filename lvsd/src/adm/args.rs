//! Understands an ipvsadm command line: the first option is the command, the others say on what and how.
//!
//! Values are read in the order they stand, as ipvsadm does, so that of several mistakes the same one is told; and
//! an option may see only what stood before it (`-r` without a port takes the port of a `-t` on its left).

use super::{
    address::number,
    command::{Command, Format, Listing},
    draft::Draft,
    failure::Failure,
    legal::Topic,
    names::Names,
    option::{Opt, Verb},
    scan::{Found, Scanner},
};
use crate::message::{Request, SyncRole, Timeouts};

/// 31 days, the longest timeout ipvsadm takes.
pub(super) const MAX_TIMEOUT: i64 = 31 * 24 * 60 * 60;

/// Understands `args`, which do not hold the program's name; none at all ask for the table.
pub(super) fn parse(args: &[&str], names: Names) -> Result<Command, Failure> {
    let mut scanner = Scanner::new(args);
    let first = loop {
        match scanner.next_option() {
            Ok(Some(Found { opt: Opt::Socket, .. })) => {}
            Ok(first) => break first,
            Err(_) => return Err(Failure::no_command()),
        }
    };
    let mut draft = Draft::new(names);
    let verb = match first {
        None if scanner.has_operands() => return Err(Failure::no_command()),
        None if args.iter().any(|arg| matches!(*arg, "--" | "")) => return Err(Failure::no_command()),
        None => Verb::List,
        Some(Found { opt: Opt::Help, .. }) => return Ok(Command::Help),
        Some(Found { opt: Opt::Version, .. }) => return Ok(Command::Version),
        Some(Found { opt: Opt::Command(verb), value }) => {
            draft.sync.role = role(verb, value)?;
            verb
        }
        Some(_) => return Err(Failure::no_command()),
    };
    while let Some(found) = scanner.next_option()? {
        if !draft.take(found)? {
            return Err(Failure::usage(format_args!("invalid option `{}'", scanner.last_argument())));
        }
    }
    let mut operands = scanner.operands().into_iter();
    let timeouts = if verb == Verb::SetTimeouts { Some(timeouts(&mut operands)?) } else { None };
    if let Some(operand) = operands.next() {
        return Err(Failure::usage(format_args!("unexpected argument {operand}")));
    }
    draft.read_flags()?;
    verb.check(draft.topics)?;
    command(verb, draft, timeouts)
}

fn command(verb: Verb, draft: Draft<'_>, timeouts: Option<Timeouts>) -> Result<Command, Failure> {
    let request = match verb {
        Verb::AddService => Request::AddService(draft.virtual_service()?),
        Verb::EditService => Request::EditService(draft.virtual_service()?),
        Verb::DeleteService => Request::DeleteService { id: draft.id()? },
        Verb::AddServer => Request::AddServer { id: draft.id()?, server: draft.real_server()? },
        Verb::EditServer => Request::EditServer { id: draft.id()?, server: draft.real_server()? },
        Verb::DeleteServer => {
            let (rip, port) = draft.server()?;
            Request::DeleteServer { id: draft.id()?, rip, port }
        }
        Verb::Flush => Request::Flush,
        Verb::Zero => Request::Zero { id: draft.optional_id() },
        Verb::SetTimeouts => {
            Request::SetTimeouts(timeouts.unwrap_or(Timeouts { tcp: 0, tcp_fin: 0, udp: 0 }))
        }
        Verb::StartDaemon => Request::StartDaemon(draft.sync_daemon()),
        Verb::StopDaemon => Request::StopDaemon { role: draft.sync.role, syncid: draft.sync.syncid },
        Verb::Restore => return Ok(Command::Restore),
        Verb::List => return Ok(Command::List(listing(&draft)?, Format::of(verb, draft.topics))),
        Verb::Save => {
            return Ok(Command::List(Listing::Services(None), Format::of(verb, draft.topics)));
        }
    };
    Ok(Command::Change(verb, request))
}

fn listing(draft: &Draft<'_>) -> Result<Listing, Failure> {
    let counters = [Topic::Stats, Topic::Rate, Topic::Thresholds];
    let lines = draft.topics.has_any(&[Topic::Timeout, Topic::Daemon]);
    if (lines || draft.topics.has(Topic::Connection)) && draft.topics.has_any(&counters)
        || lines && draft.topics.has(Topic::PersistentConn)
    {
        return Err(Failure::usage("options conflicts in the list command"));
    }
    Ok(if draft.topics.has(Topic::Connection) {
        Listing::Connections
    } else if draft.topics.has(Topic::Timeout) {
        Listing::Timeouts
    } else if draft.topics.has(Topic::Daemon) {
        Listing::Daemons
    } else {
        Listing::Services(draft.optional_id())
    })
}

fn role(verb: Verb, value: Option<&str>) -> Result<SyncRole, Failure> {
    match (verb, value) {
        (_, None | Some("master")) => Ok(SyncRole::Master),
        (_, Some("backup")) => Ok(SyncRole::Backup),
        (Verb::StopDaemon, Some(_)) => Err(Failure::usage("illegal start_daemon specified")),
        (_, Some(_)) => Err(Failure::usage("illegal start-daemon parameter specified")),
    }
}

fn timeouts<'a>(operands: &mut impl Iterator<Item = &'a str>) -> Result<Timeouts, Failure> {
    let (Some(tcp), Some(tcp_fin), Some(udp)) = (operands.next(), operands.next(), operands.next()) else {
        return Err(Failure::usage("--set option requires 3 timeout values"));
    };
    Ok(Timeouts { tcp: timeout(tcp, 0)?, tcp_fin: timeout(tcp_fin, 0)?, udp: timeout(udp, 0)? })
}

/// A timeout in seconds, from `min` to 31 days.
pub(super) fn timeout(text: &str, min: i64) -> Result<u32, Failure> {
    number(text, min, MAX_TIMEOUT)
        .ok_or_else(|| Failure::usage(format_args!("invalid timeout value `{text}' specified")))
}
