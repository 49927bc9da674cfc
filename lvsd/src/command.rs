//! From a command line of `lvsd` to an exit status.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::adm::Backend;
use crate::args::{
    CheckArgs, CleanArgs, Cli, Command, ImportArgs, LabServerArgs, MarkCommand, ProcArgs, QueryArgs,
    ReplayArgs, RunArgs, StopArgs, SysctlArgs,
};
use crate::check::Checked;
use crate::config::{Files, nearest};
use crate::control::Client;
use crate::keepalived::Unavailable;
use crate::log::Log;
use crate::mark::MarkRule;
use crate::message::{MarkChoice, Request, Response, Stop, SysctlSetting};
use crate::services::Sysctls;
use crate::{host, import, lab, report, run, vrrp};

/// How long a director may take to put everything back.
const ENDING: Duration = Duration::from_secs(20);
/// It did not work.
const FAILED: u8 = 1;
/// The command line or a file has a mistake; nothing was started or changed.
const MISTAKEN: u8 = 2;
/// A check found something.
const FOUND: u8 = 3;

/// Runs the program's command line.
pub fn main() -> ExitCode {
    main_of(std::env::args_os())
}

/// Runs a command line, whose first word is the program's name.
pub fn main_of(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = Cli::parse_from(words).command;
    if !matches!(command, Command::Run(_)) {
        start_log(None, io::stderr);
    }
    match command {
        Command::Run(args) => run_director(&args),
        Command::Check(args) => check(&args),
        Command::Import(args) => import(&args),
        Command::Reload(args) => reload(&args),
        Command::Stop(args) => stop(&args),
        Command::Clean(args) => clean(&args),
        Command::Host(command) => match host::run(&command) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FOUND),
            Err(error @ host::HostError::Incomplete(_)) => complain(error, MISTAKEN),
            Err(error) => complain(error, FAILED),
        },
        Command::Lab(args) => match lab::run(&args) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FAILED),
            Err(error) => complain(error, FAILED),
        },
        Command::Status(args) => query(&args, Request::Status),
        Command::Drops(args) => query(&args, Request::Drops),
        Command::Proc(args) => proc_file(&args),
        Command::Health(args) => query(&args, Request::Health),
        Command::Vrrp(args) => query(&args, Request::Vrrp),
        Command::VrrpGuard => match vrrp::guard::run(io::stdin().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(error, FAILED),
        },
        Command::Sysctl(args) => sysctl(&args),
        Command::Mark(command) => mark(&command),
        Command::Replay(args) => play(&args),
        Command::LabServer(args) => serve(&args),
    }
}

fn run_director(args: &RunArgs) -> ExitCode {
    let files = Files::of(args);
    let (config, warnings) = match files.read() {
        Ok(read) => read,
        Err(error) => {
            // It has its place in front already.
            let _ = writeln!(io::stderr().lock(), "{error}");
            return ExitCode::from(MISTAKEN);
        }
    };
    if !warnings.is_empty() {
        let _ = writeln!(io::stderr().lock(), "{warnings}");
    }
    if args.check {
        return ExitCode::SUCCESS;
    }
    let log = match Log::start(io::stderr()) {
        Ok(log) => log,
        Err(error) => return complain(error, FAILED),
    };
    start_log(config.log.as_deref(), log.clone());
    let outcome = run::run(config, files);
    log.flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ (run::RunError::NoInterface(_) | run::RunError::UnknownInterface(..))) => {
            complain(error, MISTAKEN)
        }
        Err(error) => complain(error, FAILED),
    }
}

fn check(args: &CheckArgs) -> ExitCode {
    let read = Files::only(&args.file, args.config_id.clone()).read();
    let checked = Checked::of(&args.file, &read);
    // A reader that has gone away has seen enough.
    if args.json {
        let _ = io::stdout().lock().write_all(report::json_of(&checked).as_bytes());
    } else {
        match &read {
            Ok((_, warnings)) if !warnings.is_empty() => {
                let _ = writeln!(io::stderr().lock(), "{warnings}");
            }
            Ok(_) => {}
            Err(error) => {
                let _ = writeln!(io::stderr().lock(), "{error}");
            }
        }
        if checked.is_usable {
            let _ = write!(io::stdout().lock(), "{checked}");
        }
    }
    if checked.is_usable { ExitCode::SUCCESS } else { ExitCode::from(MISTAKEN) }
}

/// Asks the director to end, and waits until it has.
fn stop(args: &StopArgs) -> ExitCode {
    let how = match (args.now, args.hand_over) {
        (_, true) => Stop::HandOver,
        (true, false) => Stop::Now,
        (false, false) => Stop::Drain(args.timeout),
    };
    let mut client = Client::new(&args.socket);
    match client.call(Request::Stop(how)) {
        Ok(Response::Done) => {}
        Ok(Response::Refused { error }) => return complain(error, FAILED),
        Ok(_) => return complain("the daemon answered something other than it was asked", FAILED),
        Err(error) => return complain(error, FAILED),
    }
    drop(client);
    let waiting = if matches!(how, Stop::Drain(_)) { args.timeout.into() } else { 0 };
    let deadline = Instant::now() + Duration::from_secs(waiting) + ENDING;
    while UnixStream::connect(&args.socket).is_ok() {
        if Instant::now() > deadline {
            return complain("the director was asked to end, and does not", FAILED);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    ExitCode::SUCCESS
}

fn clean(args: &CleanArgs) -> ExitCode {
    let mut out = io::stdout().lock();
    let mut is_clean = true;
    let removed = run::clean(&args.socket, |what| {
        is_clean = false;
        // A reader that has gone away has seen enough.
        let _ = writeln!(out, "{what}");
    });
    match removed {
        Ok(()) if is_clean => {
            let _ = writeln!(out, "nothing was left");
            ExitCode::SUCCESS
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(error, FAILED),
    }
}

fn import(args: &ImportArgs) -> ExitCode {
    let unavailable = if args.partial { Unavailable::LeftOut } else { Unavailable::Refused };
    let imported = match import::import(&args.file, args.config_id.as_deref(), unavailable) {
        Ok(imported) => imported,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "{error}\n\nlvsd: nothing was written");
            return ExitCode::from(MISTAKEN);
        }
    };
    let written = args.output.as_ref().map_or_else(
        || {
            // A reader that has gone away has seen enough.
            let _ = io::stdout().lock().write_all(imported.toml.as_bytes());
            Ok(())
        },
        |path| {
            import::write(path, &imported.toml, args.force)
                .map_err(|error| format!("{}: {error}", path.display()))
        },
    );
    if let Err(error) = written {
        return complain(error, FAILED);
    }
    let report = imported.report();
    let text = if args.json { report::json_of(&report) } else { report.to_string() };
    let _ = io::stderr().lock().write_all(text.as_bytes());
    if imported.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
}

fn reload(args: &QueryArgs) -> ExitCode {
    match Client::new(&args.socket).call(Request::Reload) {
        // It has its place in front already.
        Ok(Response::Malformed { message }) => {
            let _ = writeln!(io::stderr().lock(), "{message}\n\nlvsd: not reloaded, nothing was changed");
            ExitCode::from(MISTAKEN)
        }
        Ok(Response::Refused { error }) => complain(error, FAILED),
        Ok(response) => {
            if let Response::Reloaded(reloaded) = &response
                && !reloaded.warnings.is_empty()
            {
                let _ = writeln!(io::stderr().lock(), "{}", reloaded.warnings);
            }
            let text = if args.json { report::json(&response) } else { report::text(&response) };
            let _ = io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => complain(error, FAILED),
    }
}

fn query(args: &QueryArgs, request: Request) -> ExitCode {
    shown(args, request, report::text)
}

fn proc_file(args: &ProcArgs) -> ExitCode {
    let text = |response: &Response| args.file.text(response).unwrap_or_else(|| report::json(response));
    shown(&args.query, args.file.request(), text)
}

/// Asks, and prints the answer as JSON or as `text` has it.
fn shown(args: &QueryArgs, request: Request, text: impl FnOnce(&Response) -> String) -> ExitCode {
    match Client::new(&args.socket).call(request) {
        Ok(Response::Refused { error }) => complain(error, FAILED),
        Ok(response) => {
            let text = if args.json { report::json(&response) } else { text(&response) };
            // A reader that has gone away has seen enough.
            let _ = io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => complain(error, FAILED),
    }
}

fn sysctl(args: &SysctlArgs) -> ExitCode {
    let mut settings = Vec::new();
    for written in &args.settings {
        let (name, value) = match written.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (written.trim(), None),
        };
        if let Err(mistake) = check_sysctl(name, value) {
            return complain(mistake, MISTAKEN);
        }
        settings.push(SysctlSetting { name: name.to_owned(), value: value.map(str::to_owned) });
    }
    query(&args.query, Request::Sysctls { settings })
}

/// What is wrong with a setting, before anybody is asked.
fn check_sysctl(name: &str, value: Option<&str>) -> Result<(), String> {
    let Some(known) = Sysctls::name(name) else {
        let plain = name.strip_prefix("net.ipv4.vs.").unwrap_or(name);
        let hint = nearest(plain, Sysctls::names())
            .map(|near| format!("; did you mean net.ipv4.vs.{near}?"))
            .unwrap_or_default();
        return Err(format!("net.ipv4.vs.{plain} is not there{hint}"));
    };
    match value.map(|value| (value, Sysctls::default().set_text(known, value))) {
        Some((value, Err(_))) => Err(format!("net.ipv4.vs.{known}: invalid argument `{value}'")),
        Some((_, Ok(()))) | None => Ok(()),
    }
}

fn mark(command: &MarkCommand) -> ExitCode {
    let (socket, request) = match command {
        MarkCommand::List(args) => return query(args, Request::Marks),
        MarkCommand::Add { rule, at, socket } => (socket, Request::AddMark { rule: rule.into(), at: *at }),
        MarkCommand::Del { number: Some(number), socket, .. } => {
            (socket, Request::DeleteMark { which: MarkChoice::Number(*number) })
        }
        MarkCommand::Del { rule: Some(rule), socket, .. } => {
            (socket, Request::DeleteMark { which: MarkChoice::Rule(MarkRule::from(rule)) })
        }
        MarkCommand::Del { .. } => return complain("name the rule, or give its --number", MISTAKEN),
    };
    match Client::new(socket).call(request) {
        Ok(Response::Done) => ExitCode::SUCCESS,
        Ok(Response::Malformed { message }) => complain(message, FAILED),
        Ok(Response::Refused { error }) => complain(error, FAILED),
        Ok(_) => complain("the daemon answered something other than it was asked", FAILED),
        Err(error) => complain(error, FAILED),
    }
}

fn play(args: &ReplayArgs) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match crate::replay::run(&args.timeline, args.topology.as_deref(), &mut out) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => complain(error, MISTAKEN),
    }
}

fn serve(args: &LabServerArgs) -> ExitCode {
    match lab::server::run(&args.name, &args.echo) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(error, FAILED),
    }
}

fn start_log<W>(filter: Option<&str>, out: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let given = filter.map(str::to_owned).or_else(|| std::env::var(EnvFilter::DEFAULT_ENV).ok());
    let filter = EnvFilter::new(given.as_deref().unwrap_or("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(out);
    log.with_ansi(io::stderr().is_terminal()).init();
}

/// Says what went wrong; nobody may be listening any more.
fn complain(what: impl Display, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "lvsd: {what}");
    ExitCode::from(status)
}
