//! `FILE_CHECK`: a file says how a server does.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;

use crate::declared::FileCheck;
use crate::judge::{Failure, Outcome};

/// What a file may hold: a number does not take more.
const LONGEST: u64 = 128;
/// A product under this takes the server down; keepalived's own limit of weights.
const LEAST: i64 = -(i32::MAX as i64);

/// Looks at the file, and says what follows.
pub fn read_file(check: &FileCheck) -> Outcome {
    judge(check, number(check))
}

/// The number in the file; 0 when there is none.
fn number(check: &FileCheck) -> i64 {
    let mut text = String::new();
    // Nor does a pipe that nobody writes into keep us waiting.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&check.path);
    if file.and_then(|file| file.take(LONGEST).read_to_string(&mut text)).is_err() {
        return 0;
    }
    let text = text.trim_start();
    let end = text.char_indices().find(|(at, c)| !(c.is_ascii_digit() || (*at == 0 && "+-".contains(*c))));
    let digits = text.get(..end.map_or(text.len(), |(at, _)| at)).unwrap_or_default();
    digits.parse().ok().filter(|number| i32::try_from(*number).is_ok()).unwrap_or(0)
}

fn judge(check: &FileCheck, number: i64) -> Outcome {
    if check.weight == 0 {
        let is_down = (number == 0) == check.reverse;
        return if is_down { Outcome::Failure(Failure::File(number)) } else { Outcome::SUCCESS };
    }
    let sign = if check.reverse { -1 } else { 1 };
    let product = number * i64::from(check.weight) * sign;
    if product < LEAST {
        return Outcome::Failure(Failure::File(number));
    }
    Outcome::Success { weight: check.dynamic.then_some(product.min(-LEAST)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(weight: i32, reverse: bool, dynamic: bool) -> FileCheck {
        FileCheck { name: "f".to_owned(), path: "/nonexistent".into(), weight, reverse, dynamic }
    }

    #[test]
    fn without_a_weight_any_number_but_zero_takes_the_server_down() {
        assert_eq!(judge(&check(0, false, false), 0), Outcome::SUCCESS);
        assert_eq!(judge(&check(0, false, false), 3), Outcome::Failure(Failure::File(3)));
        assert_eq!(judge(&check(0, true, false), 0), Outcome::Failure(Failure::File(0)));
        assert_eq!(judge(&check(0, true, false), 3), Outcome::SUCCESS);
    }

    #[test]
    fn a_weight_multiplies_the_number_and_what_is_out_of_range_is_down() {
        assert_eq!(judge(&check(5, false, true), 7), Outcome::Success { weight: Some(35) });
        assert_eq!(judge(&check(5, true, true), 7), Outcome::Success { weight: Some(-35) });
        assert_eq!(judge(&check(5, false, false), 7), Outcome::SUCCESS);
        let least = i64::from(i32::MIN);
        assert_eq!(judge(&check(1, false, true), least), Outcome::Failure(Failure::File(least)));
        assert_eq!(
            judge(&check(2, false, true), i64::from(i32::MAX)),
            Outcome::Success { weight: Some(i64::from(i32::MAX)) }
        );
    }

    #[test]
    fn a_file_that_holds_no_number_counts_as_zero() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        let with = |text: &str| {
            std::fs::write(&path, text).unwrap();
            number(&FileCheck { path: path.clone(), ..check(1, false, true) })
        };
        let read: Vec<i64> =
            ["12\n", " -3 x", "", "down", "99999999999", "+4"].map(with).into_iter().collect();
        assert_eq!(read, [12, -3, 0, 0, 0, 4]);
        assert_eq!(number(&check(1, false, true)), 0);
    }

    #[test]
    fn what_is_no_file_counts_as_zero_and_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let paths = [pipe.clone(), "/dev/zero".into(), "/".into(), "/dev/null".into()];
        std::thread::spawn(move || {
            let read = paths.map(|path| number(&FileCheck { path, ..check(1, false, true) }));
            let _ = tell.send(read);
        });
        let read = told.recv_timeout(std::time::Duration::from_secs(10));
        assert_eq!(read, Ok([0; 4]));
    }
}
