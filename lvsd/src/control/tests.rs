//! The control socket against peers of every kind.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::*;
use crate::{
    adm::Backend,
    message::{Request, Response},
};

/// A directory of the test's own, removed afterwards.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("deep").join("lvsd.sock")
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "two answers are enough here")]
/// Answers every request, on the thread it is called on, until `work` on another thread is done.
fn while_serving(server: &mut Server, work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let working = scope.spawn(work);
        let deadline = Instant::now() + Duration::from_mins(1);
        while !working.is_finished() && Instant::now() < deadline {
            server.serve_for(Duration::from_millis(20), &mut |request| match request {
                Request::Flush => Response::Done,
                _ => Response::Services { services: Vec::new() },
            });
        }
        working.join().unwrap();
    });
}

fn ask(path: &PathBuf, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    let _ = stream.write_all(bytes);
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = String::new();
    let _ = BufReader::new(stream).read_line(&mut answer);
    answer
}

#[test]
fn a_client_gets_the_answers_to_its_requests_one_after_another() {
    let place = Place::new();
    let mut server = Server::bind(&place.socket()).unwrap();
    while_serving(&mut server, || {
        let mut client = Client::new(place.socket());
        for _ in 0..100 {
            assert_eq!(client.call(Request::Flush), Ok(Response::Done));
            assert_eq!(
                client.call(Request::List { id: None }),
                Ok(Response::Services { services: Vec::new() })
            );
        }
    });
}

#[test]
fn the_socket_is_for_the_owner_and_the_group_and_goes_with_the_server() {
    let place = Place::new();
    let server = Server::bind(&place.socket()).unwrap();
    let metadata = std::fs::metadata(place.socket()).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    drop(server);
    assert!(!place.socket().exists());
}

#[test]
fn a_living_daemons_socket_is_left_alone_and_a_dead_ones_taken_over() {
    let place = Place::new();
    let living = Server::bind(&place.socket()).unwrap();
    assert!(matches!(Server::bind(&place.socket()), Err(BindError::InUse { .. })));
    assert!(place.socket().exists());
    drop(living);
    drop(UnixListener::bind(place.socket()).unwrap());
    assert!(place.socket().exists(), "a dead daemon leaves its socket");
    let mut server = Server::bind(&place.socket()).unwrap();
    while_serving(&mut server, || {
        assert_eq!(Client::new(place.socket()).call(Request::Flush), Ok(Response::Done));
    });
}

#[test]
fn a_file_that_is_no_socket_is_never_removed() {
    let place = Place::new();
    std::fs::create_dir_all(place.socket().parent().unwrap()).unwrap();
    std::fs::write(place.socket(), "precious").unwrap();
    assert!(matches!(Server::bind(&place.socket()), Err(BindError::NotASocket { .. })));
    assert_eq!(std::fs::read_to_string(place.socket()).unwrap(), "precious");
}

#[test]
fn a_server_whose_socket_was_replaced_leaves_the_new_one() {
    let place = Place::new();
    let old = Server::bind(&place.socket()).unwrap();
    std::fs::remove_file(place.socket()).unwrap();
    let _new = Server::bind(&place.socket()).unwrap();
    drop(old);
    assert!(place.socket().exists());
}

#[test]
fn hostile_lines_get_an_answer_that_says_what_is_wrong() {
    let place = Place::new();
    let mut server = Server::bind(&place.socket()).unwrap();
    while_serving(&mut server, || {
        for line in [
            "\n",
            "{}\n",
            "[]\n",
            "nonsense\n",
            "{\"request\":\"no-such\"}\n",
            "\u{0}\u{1}\n",
            "{\"request\":\n",
        ] {
            let answer = ask(&place.socket(), line.as_bytes());
            assert!(answer.starts_with("{\"response\":\"malformed\""), "{line:?}: {answer}");
        }
        let deep = [vec![b'['; 50_000], vec![b'\n']].concat();
        assert!(ask(&place.socket(), &deep).contains("malformed"));
        assert!(ask(&place.socket(), b"\xff\xfe\n").contains("malformed"));
    });
}

#[test]
fn after_a_malformed_line_the_same_connection_is_still_served() {
    let place = Place::new();
    let mut server = Server::bind(&place.socket()).unwrap();
    while_serving(&mut server, || {
        let mut stream = UnixStream::connect(place.socket()).unwrap();
        stream.write_all(b"nonsense\n{\"request\":\"flush\"}\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert!(lines.next().unwrap().unwrap().contains("malformed"));
        assert_eq!(lines.next().unwrap().unwrap(), "{\"response\":\"done\"}");
    });
}

#[test]
fn a_line_without_end_is_cut_off_and_not_stored() {
    let place = Place::new();
    let mut server = Server::bind(&place.socket()).unwrap();
    while_serving(&mut server, || {
        let mut stream = UnixStream::connect(place.socket()).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut sent = 0_usize;
        while sent < 64 << 20 {
            match stream.write(&[b' '; 4096]) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        assert!(sent < 2 << 20, "{sent} bytes were taken");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    });
}

#[test]
fn silent_and_half_open_and_vanished_clients_do_not_keep_the_others_waiting() {
    let place = Place::new();
    let mut server = Server::bind(&place.socket()).unwrap();
    while_serving(&mut server, || {
        let silent: Vec<_> = (0..8).map(|_| UnixStream::connect(place.socket()).unwrap()).collect();
        let mut half = UnixStream::connect(place.socket()).unwrap();
        half.write_all(b"{\"request\":\"fl").unwrap();
        for _ in 0..8 {
            let mut vanishing = UnixStream::connect(place.socket()).unwrap();
            vanishing.write_all(b"{\"request\":\"flush\"}\n").unwrap();
        }
        let started = Instant::now();
        assert_eq!(Client::new(place.socket()).call(Request::Flush), Ok(Response::Done));
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        drop(silent);
        half.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        half.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "half a line is no request");
    });
}

#[test]
fn too_many_connections_are_turned_away_with_a_word_and_places_come_back() {
    let place = Place::new();
    let mut server = Server::bind(&place.socket()).unwrap();
    while_serving(&mut server, || {
        let mut held: Vec<_> = (0..64).map(|_| UnixStream::connect(place.socket()).unwrap()).collect();
        let answer = ask(&place.socket(), b"");
        assert!(answer.contains("too many connections"), "{answer}");
        held.clear();
        let deadline = Instant::now() + Duration::from_secs(20);
        while Client::new(place.socket()).call(Request::Flush) != Ok(Response::Done) {
            assert!(Instant::now() < deadline, "the places did not come back");
            thread::sleep(Duration::from_millis(20));
        }
    });
}

#[test]
fn without_a_daemon_the_client_names_the_socket_and_the_command() {
    let place = Place::new();
    let error = Client::new(place.socket()).call(Request::Flush).unwrap_err().to_string();
    assert!(error.contains(&place.socket().display().to_string()), "{error}");
    assert!(error.contains("lvsd run"), "{error}");
    std::fs::create_dir_all(place.socket().parent().unwrap()).unwrap();
    drop(UnixListener::bind(place.socket()).unwrap());
    let error = Client::new(place.socket()).call(Request::Flush).unwrap_err().to_string();
    assert!(error.contains("no daemon listens"), "{error}");
}

#[test]
fn a_daemon_that_dies_ends_a_waiting_client() {
    let place = Place::new();
    let server = Server::bind(&place.socket()).unwrap();
    thread::scope(|scope| {
        let asking = scope.spawn(|| Client::new(place.socket()).call(Request::Flush));
        thread::sleep(Duration::from_millis(200));
        drop(server);
        let error = asking.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("without an answer"), "{error}");
    });
}
