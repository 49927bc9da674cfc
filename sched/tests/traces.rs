//! What kernel IPVS chose, choice by choice; see `traces/README.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod servers;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use lvs_sched::{Flags, Flow, Kind, Scheduler, Slot};
use servers::{Server, Servers};

/// A service under replay.
struct Replay {
    pool: Servers,
    scheduler: Box<dyn Scheduler>,
    picks: usize,
}

impl Replay {
    fn start(words: &[&str]) -> Self {
        let kind: Kind = words[1].parse().unwrap();
        let flags = Flags::from_bits(words[2].parse().unwrap());
        let pool = Servers::default();
        let scheduler = kind.build(flags, 1, &pool).unwrap();
        Self { pool, scheduler, picks: 0 }
    }

    fn step(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "add" | "edit" | "delete" => self.change(&words),
            "close" => self.close(words[1].parse().unwrap()),
            "pick" => self.pick(&words, line),
            other => panic!("what is {other}?"),
        }
    }

    fn change(&mut self, words: &[&str]) {
        let endpoint: SocketAddr = words[1].parse().unwrap();
        match words[0] {
            "add" => self.pool.0.insert(0, Server::new(endpoint, 0)),
            "delete" => {
                let place = self.pool.find(endpoint);
                self.pool.0.remove(place);
            }
            _ => {}
        }
        if let [weight, upper] = words[2..] {
            let place = self.pool.find(endpoint);
            self.pool.0[place].edit(weight.parse().unwrap(), upper.parse().unwrap());
        }
        self.scheduler = self.scheduler.rebuild(&self.pool);
    }

    fn close(&mut self, endpoint: SocketAddr) {
        let place = self.pool.find(endpoint);
        self.pool.0[place].active -= 1;
        self.pool.0[place].inactive += 1;
        self.scheduler.load_changed(&self.pool, slot(place));
    }

    fn pick(&mut self, words: &[&str], line: &str) {
        let client: SocketAddr = words[1].parse().unwrap();
        let vip: SocketAddr = words[2].parse().unwrap();
        let flow = Flow {
            client: client.ip(),
            client_port: client.port(),
            vip: vip.ip(),
            service_port: vip.port(),
            now: Duration::from_millis(words[3].parse().unwrap()),
        };
        let picked = self.scheduler.pick(&self.pool, &flow);
        let expected = words[4].parse().ok().map(|endpoint| slot(self.pool.find(endpoint)));
        assert_eq!(picked, expected, "choice {}: {line}", self.picks);
        self.picks += 1;
        if let Some(slot) = picked {
            self.pool.0[slot.index()].connect();
            self.scheduler.load_changed(&self.pool, slot);
        }
    }
}

fn slot(place: usize) -> Slot {
    Slot(u32::try_from(place).unwrap())
}

fn replay(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let mut replay = Replay::start(&first);
    for line in lines {
        replay.step(line);
    }
    replay.picks
}

#[test]
fn every_choice_is_the_kernels() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let (mut wrong, mut picks) = (Vec::new(), 0);
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "trace") {
            match std::panic::catch_unwind(|| replay(&path)) {
                Ok(replayed) => picks += replayed,
                Err(_) => wrong.push(path),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(picks > 1850, "only {picks} choices were replayed");
}
