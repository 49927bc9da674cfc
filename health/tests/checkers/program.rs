//! `MISC_CHECK`: programs that say how a server does, and some that do not end.

use std::fs;
use std::path::PathBuf;

use super::*;
use lvs_health::declared::{MiscCheck, Script, User};

fn shell(text: &str) -> Script {
    Script { command: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(), user: None }
}

fn misc(script: Script, dynamic: bool) -> CheckKind {
    CheckKind::Misc(MiscCheck { script, timeout: PATIENCE, dynamic })
}

fn run(text: &str, dynamic: bool) -> Outcome {
    attempt(misc(shell(text), dynamic), "127.0.0.1:1".parse().unwrap())
}

#[test]
fn an_exit_status_says_how_the_server_does() {
    assert_eq!(run("exit 0", false), Outcome::SUCCESS);
    assert_eq!(run("exit 1", false), failed(Failure::Exit(1)));
    assert_eq!(run("exit 2", false), failed(Failure::Exit(2)));
    assert_eq!(run("kill -9 $$", false), failed(Failure::Signal(9)));
}

#[test]
fn with_dynamic_weights_it_says_which_weight_too() {
    assert_eq!(run("exit 0", true), Outcome::Success { weight: None });
    assert_eq!(run("exit 1", true), failed(Failure::Exit(1)));
    assert_eq!(run("exit 2", true), Outcome::Success { weight: Some(0) });
    assert_eq!(run("exit 255", true), Outcome::Success { weight: Some(253) });
}

#[test]
fn a_program_that_is_not_there_cannot_be_used() {
    let script = Script { command: vec!["/nonexistent/check".to_owned()], user: None };
    let outcome = attempt(misc(script, false), "127.0.0.1:1".parse().unwrap());
    assert!(matches!(outcome, Outcome::Failure(Failure::Unusable(_))), "{outcome:?}");
    let user = Some(User { name: "nobody-of-this-name".to_owned(), group: None });
    let outcome = attempt(misc(Script { user, ..shell("exit 0") }, false), "127.0.0.1:1".parse().unwrap());
    assert!(matches!(outcome, Outcome::Failure(Failure::Unusable(_))), "{outcome:?}");
}

/// Where a program may leave word.
fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("lvs-health-{name}-{}", std::process::id()))
}

fn is_alive(process: &str) -> bool {
    // One that nobody has waited for yet has ended all the same.
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn a_program_that_does_not_end_is_ended_with_its_children() {
    for (name, refusal) in [("polite", ""), ("stubborn", "trap '' TERM; ")] {
        let place = place(name);
        let text = format!(
            "{refusal}sleep 30 & echo $! > {0}.new; mv {0}.new {0}; while :; do sleep 30; done",
            place.display()
        );
        assert_eq!(run(&text, false), timed_out());
        let child = fs::read_to_string(&place).unwrap();
        fs::remove_file(&place).unwrap();
        let deadline = Instant::now() + Duration::from_secs(2);
        while is_alive(child.trim()) {
            assert!(Instant::now() < deadline, "{name}: {child} lives on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_program_that_talks_without_end_is_not_listened_to() {
    assert_eq!(run("while :; do echo and so on; echo and on >&2; done", false), timed_out());
    assert_eq!(run("yes | head -c 10000000; exit 0", false), Outcome::SUCCESS);
}

#[test]
#[ignore = "needs root"]
fn a_program_runs_as_the_user_it_names() {
    let place = place("user");
    fs::write(&place, "").unwrap();
    std::process::Command::new("chown").arg("nobody").arg(&place).status().unwrap();
    let user = Some(User { name: "nobody".to_owned(), group: None });
    let script = Script { user, ..shell(&format!("id -un > {0}; id -G >> {0}", place.display())) };
    assert_eq!(attempt(misc(script, false), "127.0.0.1:1".parse().unwrap()), Outcome::SUCCESS);
    let told = fs::read_to_string(&place).unwrap();
    fs::remove_file(&place).unwrap();
    assert_eq!(told, "nobody\n65534\n", "its groups are not ours");
}

#[test]
#[ignore = "needs root"]
fn with_script_security_root_runs_nothing_that_others_can_change() {
    use std::os::unix::fs::PermissionsExt;
    let globals = Globals { script_security: true, ..Globals::default() };
    let place = place("secure");
    fs::write(&place, "#!/bin/sh\nexit 0\n").unwrap();
    let script = Script { command: vec![place.display().to_string()], user: None };
    let check = check(misc(script, false), "127.0.0.1:1".parse().unwrap());
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(attempt_with(&globals, &check, 0), Outcome::SUCCESS);
    fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
    let outcome = attempt_with(&globals, &check, 0);
    fs::remove_file(&place).unwrap();
    assert!(matches!(outcome, Outcome::Failure(Failure::Unusable(_))), "{outcome:?}");
}
