use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn entry() -> Entry {
    let others = vec![("net/ipv4/conf/all/accept_redirects".to_owned(), "1".to_owned())];
    Entry {
        change: Change::sysctl("net/ipv4/ip_forward", "1"),
        before: Before::Values { value: "0".to_owned(), others },
        begun: true,
    }
}

#[test]
fn what_was_written_down_is_read_again() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("host");
    let mut journal = Journal::open(&directory, "director").unwrap();
    assert!(journal.entries().is_empty());
    journal.entries_mut().push(entry());
    journal.save().unwrap();
    drop(journal);
    let path = directory.join("director.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let mut journal = Journal::open(&directory, "director").unwrap();
    assert_eq!(journal.entries(), [entry()]);
    journal.entries_mut().clear();
    journal.save().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_journal_of_another_boot_is_forgotten() {
    let scratch = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(scratch.path(), "director").unwrap();
    journal.entries_mut().push(entry());
    "another".clone_into(&mut journal.content.boot);
    journal.save().unwrap();
    drop(journal);
    assert!(Journal::open(scratch.path(), "director").unwrap().entries().is_empty());
}

#[test]
fn a_journal_about_another_namespace_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(scratch.path(), "director").unwrap();
    journal.entries_mut().push(entry());
    journal.content.namespace += 1;
    journal.save().unwrap();
    drop(journal);
    let error = Journal::open(scratch.path(), "director").unwrap_err().to_string();
    assert!(error.contains("another network namespace"), "{error}");
}

#[test]
fn a_link_in_the_journal_s_place_is_not_followed() {
    let scratch = tempfile::tempdir().unwrap();
    let elsewhere = scratch.path().join("elsewhere");
    fs::write(&elsewhere, "{}").unwrap();
    symlink(&elsewhere, scratch.path().join("director.json")).unwrap();
    assert!(matches!(Journal::open(scratch.path(), "director"), Err(Error::Journal { .. })));
    fs::remove_file(scratch.path().join("director.json")).unwrap();
    symlink(&elsewhere, scratch.path().join("director.json.new")).unwrap();
    let mut journal = Journal::open(scratch.path(), "director").unwrap();
    journal.entries_mut().push(entry());
    journal.save().unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "{}");
}

#[test]
fn a_journal_others_can_write_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("director.json");
    fs::write(&path, "{}").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(Journal::open(scratch.path(), "director"), Err(Error::JournalContent { .. })));
}

#[test]
fn a_broken_journal_is_an_error_with_its_name() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("director.json");
    fs::write(&path, "{\"version\": 1, ").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let error = Journal::open(scratch.path(), "director").unwrap_err().to_string();
    assert!(error.contains("director.json"), "{error}");
}
