//! Holds the command line against what ipvsadm 1.31 itself did: `tests/messages.jsonl` has what it said to argument
//! vectors, the other files have whole tables, as Linux 6.1 and ipvsadm 1.31 printed them.

mod document;
mod kernel;
mod listings;
mod round_trip;

use std::process::Command;

use serde::Deserialize;

use super::*;
use kernel::Kernel;

#[derive(Deserialize)]
struct Said {
    args: Vec<String>,
    status: u8,
    err: String,
}

fn said() -> Vec<Said> {
    include_str!("tests/messages.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs a command line against a back end; the status, standard output and standard error.
fn run_on(backend: &mut dyn Backend, args: &[&str], stdin: &str) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = run(args, Names::BuiltIn, &mut stdin.as_bytes(), backend, &mut out, &mut err);
    (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// A back end that agrees to everything.
#[allow(clippy::wildcard_enum_match_arm, reason = "every change gets the same answer")]
#[allow(clippy::needless_pass_by_value, reason = "the signature of a back end")]
fn agree(request: Request) -> Response {
    match request {
        Request::List { .. } => Response::Services { services: Vec::new() },
        Request::Connections => Response::Connections { connections: Vec::new() },
        Request::Daemons => Response::Daemons { daemons: Vec::new() },
        Request::Timeouts => {
            Response::Timeouts(crate::message::Timeouts { tcp: 900, tcp_fin: 120, udp: 300 })
        }
        _ => Response::Done,
    }
}

#[test]
fn every_argument_vector_meets_the_words_and_the_status_that_ipvsadm_had_for_it() {
    let mut wrong = Vec::new();
    for said in said() {
        let args: Vec<&str> = said.args.iter().map(String::as_str).collect();
        let (status, _, err) = run_on(&mut agree, &args, "");
        if (status, &err) != (said.status, &said.err) {
            wrong.push(format!("{args:?}: {} {:?}, ours {status} {err:?}", said.status, said.err));
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_installed_ipvsadm_says_the_same_where_it_has_a_kernel_to_start_on() {
    let starts = Command::new("ipvsadm").arg("-v").output().is_ok_and(|output| output.status.success());
    if !starts {
        eprintln!("skipped: no ipvsadm here, or no IPVS in this kernel");
        return;
    }
    // nothing that would change the host's own table
    for said in said().iter().filter(|said| said.status != 0) {
        let output = Command::new("ipvsadm").args(&said.args).output().unwrap();
        let status = output.status.code().unwrap_or_default();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!((status, &*err), (i32::from(said.status), &*said.err), "{:?}", said.args);
    }
}

#[test]
fn the_help_and_the_version_go_to_standard_output() {
    let (status, out, err) = run_on(&mut agree, &["-h"], "");
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.starts_with(
        "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\nUsage:\n  ipvsadm -A|E"
    ));
    assert!(out.ends_with("  --mcast-ttl ttl                     Multicast TTL (default=1)\n"));
    assert_eq!(out.len(), 4645);
    let (_, version, _) = run_on(&mut agree, &["--version"], "");
    assert_eq!(version, "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n");
}

#[test]
fn refusals_are_worded_by_command() {
    use crate::message::Refusal;
    let add = ["-A", "-t", "10.0.0.1:80"];
    let join = ["-a", "-t", "10.0.0.1:80", "-r", "10.0.0.2"];
    let leave = ["-d", "-t", "10.0.0.1:80", "-r", "10.0.0.2"];
    let list = ["-L", "-t", "10.0.0.1:80"];
    let cases: [(&[&str], Refusal, u8, &str); 15] = [
        (&add, Refusal::Exists, 255, "Service already exists\n"),
        (&add, Refusal::NoEntry, 255, "Scheduler or persistence engine not found\n"),
        (&add, Refusal::NotPermitted, 255, "Permission denied (you must be root)\n"),
        (&add, Refusal::NoMemory, 255, "Memory allocation problem\n"),
        (&add, Refusal::NotAvailable, 255, "Protocol not available\n"),
        (&add, Refusal::NotSupported, 255, "Operation not supported with IPv6\n"),
        (&add, Refusal::FamilyNotSupported, 255, "Operation not supported with specified address family\n"),
        (&join, Refusal::NoService, 255, "Service not defined\n"),
        (&join, Refusal::Exists, 255, "Destination already exists\n"),
        (&join, Refusal::Range, 255, "Numerical result out of range\n"),
        (&leave, Refusal::NoEntry, 255, "No such destination\n"),
        (&["--start-daemon", "master"], Refusal::Exists, 255, "Daemon has already run\n"),
        (&["--start-daemon", "master"], Refusal::NoDevice, 255, "No such device\n"),
        (&["--stop-daemon", "master"], Refusal::NoService, 255, "No daemon is running\n"),
        (&list, Refusal::NoService, 1, "No such service\n"),
    ];
    for (args, error, status, text) in cases {
        let (got, out, err) = run_on(&mut |_| Response::Refused { error }, args, "");
        assert_eq!((got, err.as_str(), out.as_str()), (status, text, ""), "{args:?} {error:?}");
    }
    let invalid = "Invalid operation.  Possibly wrong module version, address not unicast, ...\n";
    let (_, _, err) = run_on(&mut |_| Response::Refused { error: Refusal::Invalid }, &join, "");
    assert_eq!(err, invalid);
}

#[test]
fn a_refused_list_of_everything_still_has_its_first_line() {
    let error = crate::message::Refusal::NotPermitted;
    let (status, out, err) = run_on(&mut |_| Response::Refused { error }, &["-L"], "");
    assert_eq!(status, 1);
    assert_eq!(out, "IP Virtual Server version 1.2.1 (size=4096)\n");
    assert_eq!(err, "Permission denied (you must be root)\n");
}

#[test]
fn without_an_answer_the_back_ends_own_words_are_told_and_a_restore_ends() {
    struct Silent(u32);
    impl Backend for Silent {
        fn call(&mut self, _: Request) -> Result<Response, BackendError> {
            self.0 += 1;
            Err(BackendError("nobody there".to_owned()))
        }
    }
    let mut silent = Silent(0);
    assert_eq!(run_on(&mut silent, &["-C"], ""), (255, String::new(), "nobody there\n".to_owned()));
    assert_eq!(run_on(&mut silent, &["-L"], ""), (255, String::new(), "nobody there\n".to_owned()));
    assert_eq!(run_on(&mut silent, &["-R"], "-C\n-C\n").0, 255);
    assert_eq!(silent.0, 3);
}

#[test]
fn the_socket_option_is_found_anywhere_and_means_nothing_to_the_command() {
    assert_eq!(socket(&["--socket", "/a", "-L"]), Some("/a"));
    assert_eq!(socket(&["-Ln", "--socket=/b"]), Some("/b"));
    assert_eq!(socket(&["-s", "--socket", "-L"]), None);
    assert_eq!(socket(&["-L"]), None);
    for args in [["--socket=/a", "-L", "-n"], ["-L", "--socket=/a", "-n"]] {
        assert_eq!(run_on(&mut agree, &args, "").0, 0, "{args:?}");
    }
    assert_eq!(run_on(&mut agree, &["--socket=/a"], "").0, 0);
}

#[test]
fn a_listing_as_json_is_the_answer_of_the_control_socket() {
    let mut kernel = Kernel::default();
    run_on(&mut kernel, &["-A", "-t", "10.0.0.1:80"], "");
    let (status, out, _) = run_on(&mut kernel, &["-Ln", "--json"], "");
    assert_eq!(status, 0);
    let Response::Services { services } = serde_json::from_str(&out).unwrap() else { panic!("{out}") };
    assert_eq!(services[0].service.scheduler, "wlc");
    let (status, _, err) = run_on(&mut kernel, &["-C", "--json"], "");
    assert_eq!((status, err.as_str()), (2, "Illegal 'json' option with the 'flush' command\n"));
}

#[test]
fn every_row_of_the_rules_has_a_column_for_every_topic() {
    use option::Verb;
    for verb in [
        Verb::AddService,
        Verb::EditService,
        Verb::DeleteService,
        Verb::Flush,
        Verb::List,
        Verb::AddServer,
        Verb::DeleteServer,
        Verb::EditServer,
        Verb::SetTimeouts,
        Verb::StartDaemon,
        Verb::StopDaemon,
        Verb::Restore,
        Verb::Save,
        Verb::Zero,
    ] {
        assert_eq!(verb.columns(), legal::Topic::ALL.len(), "{verb:?}");
    }
}
