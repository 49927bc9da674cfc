//! Watches scripts, files and processes for the virtual routers, each on threads of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvs_vrrp::Reading;
use lvs_vrrp::declared::{Declared, Globals, Instance, Script, SyncGroup, Track, TrackFile, TrackProcess};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::program;

/// How often files are read.
const FILES: Duration = Duration::from_millis(100);
/// How often processes are looked for.
const PROCESSES: Duration = Duration::from_millis(500);
/// How often a running script is asked whether it has ended, and a thread whether it is to.
const LOOK: Duration = Duration::from_millis(10);

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Watched {
    Script(String),
    File(String),
    Process(String),
}

/// Tells of a new reading.
pub(super) type Tell = Arc<dyn Fn(Watched, Reading) + Send + Sync>;

/// The declaration of one watched thing: a thread is kept while it stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Job {
    Script(Script, Globals),
    File(TrackFile),
    Process(TrackProcess),
}

/// The threads that watch; dropping them ends them.
#[derive(Debug, Default)]
pub(super) struct Watches(BTreeMap<Watched, Watch>);

#[derive(Debug)]
struct Watch {
    job: Job,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watches {
    /// Watches what is declared and used by someone; what stayed the same is not disturbed.
    pub(super) fn change(&mut self, declared: &Declared, tell: &Tell) {
        let mut wanted = jobs(declared);
        self.0.retain(|watched, watch| wanted.get(watched) == Some(&watch.job));
        wanted.retain(|watched, _| !self.0.contains_key(watched));
        for (watched, job) in wanted {
            let stop = Arc::new(AtomicBool::new(false));
            let (work, told, stopped, what) =
                (job.clone(), Arc::clone(tell), Arc::clone(&stop), watched.clone());
            let spawned = thread::Builder::new()
                .name("lvsd-vrrp-watch".to_owned())
                .spawn(move || work.run(&stopped, |reading| told(what.clone(), reading)));
            match spawned {
                Ok(thread) => drop(self.0.insert(watched, Watch { job, stop, thread: Some(thread) })),
                Err(error) => tracing::error!(%error, ?watched, "not watched"),
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Nobody waits for it: adverts are due.
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Watches {
    /// Ends the threads, and the scripts they run.
    pub(super) fn end(&mut self) {
        for watch in self.0.values() {
            watch.stop.store(true, Ordering::Relaxed);
        }
        std::mem::take(&mut self.0).into_values().for_each(Watch::join);
    }
}

impl Watch {
    fn join(mut self) {
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(job = ?self.job, "its thread had panicked");
        }
    }
}

/// A list of an instance or a group.
type Of<T> = fn(&T) -> &Vec<Track>;

fn jobs(declared: &Declared) -> BTreeMap<Watched, Job> {
    let mut jobs = BTreeMap::new();
    for script in &declared.scripts {
        let job = Job::Script(script.clone(), declared.globals.clone());
        jobs.insert(Watched::Script(script.name.clone()), job);
    }
    for file in &declared.files {
        jobs.insert(Watched::File(file.name.clone()), Job::File(file.clone()));
    }
    for process in &declared.processes {
        jobs.insert(Watched::Process(process.name.clone()), Job::Process(process.clone()));
    }
    let is_used = |name: &str, of_instance: Of<Instance>, of_group: Of<SyncGroup>| {
        let instances = declared.instances.iter().map(of_instance);
        let groups = declared.groups.iter().map(of_group);
        instances.chain(groups).flatten().any(|track| track.name == name)
    };
    jobs.retain(|watched, _| match watched {
        Watched::Script(name) => is_used(name, |i| &i.track_scripts, |g| &g.track_scripts),
        Watched::File(name) => is_used(name, |i| &i.track_files, |g| &g.track_files),
        Watched::Process(name) => is_used(name, |i| &i.track_processes, |g| &g.track_processes),
    });
    jobs
}

impl Job {
    fn run(&self, stop: &AtomicBool, tell: impl Fn(Reading)) {
        match self {
            Self::Script(script, globals) => run_script(script, globals, stop, tell),
            Self::File(file) => {
                write_initial(file);
                follow(stop, FILES, || Some(Reading::Number(read_number(&file.path))), tell);
            }
            Self::Process(process) => {
                let mut settled = Settled::new(process);
                follow(stop, PROCESSES, || settled.look(), tell);
            }
        }
    }
}

/// Reads again and again, and tells what is new.
fn follow(
    stop: &AtomicBool,
    pause: Duration,
    mut read: impl FnMut() -> Option<Reading>,
    tell: impl Fn(Reading),
) {
    let mut last = None;
    while !stop.load(Ordering::Relaxed) {
        let reading = read();
        if let Some(reading) = reading.filter(|_| reading != last) {
            tell(reading);
            last = Some(reading);
        }
        sleep(pause, stop);
    }
}

fn sleep(pause: Duration, stop: &AtomicBool) {
    let deadline = Instant::now() + pause;
    while !stop.load(Ordering::Relaxed) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// What a script's results in a row have made of it.
#[derive(Debug)]
struct Judgement {
    is_up: bool,
    /// Results in a row that speak against it.
    against: u32,
}

impl Judgement {
    /// `None` where nothing changes.
    fn hear(&mut self, is_good: bool, script: &Script) -> Option<Reading> {
        if is_good == self.is_up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if is_good { script.rise } else { script.fall };
        if self.against < needed.max(1) {
            return None;
        }
        *self = Self { is_up: is_good, against: 0 };
        Some(if is_good { Reading::Up } else { Reading::Down })
    }
}

fn run_script(script: &Script, globals: &Globals, stop: &AtomicBool, tell: impl Fn(Reading)) {
    // The first results count at once: nothing is known before.
    let mut judgement = Judgement { is_up: !script.starts_down, against: 0 };
    let mut is_first = true;
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let result = outcome(script, globals, stop);
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let is_good = result.unwrap_or_else(|error| {
            if is_first {
                tracing::error!(%error, script = script.name, "not run");
            }
            false
        });
        let changed = judgement.hear(is_good, script);
        if let Some(reading) = changed {
            tell(reading);
        } else if is_first {
            tell(if judgement.is_up { Reading::Up } else { Reading::Down });
        }
        is_first = false;
        sleep(script.interval.saturating_sub(started.elapsed()), stop);
    }
}

/// Runs the script once; true when it ended with status 0 in time. One that takes too long is killed with its
/// children.
fn outcome(script: &Script, globals: &Globals, stop: &AtomicBool) -> std::io::Result<bool> {
    let mut child = program::start(&script.command, &[], globals)?;
    let deadline = Instant::now() + script.timeout.unwrap_or(script.interval);
    let mut pause = Duration::from_millis(1);
    while Instant::now() < deadline && !stop.load(Ordering::Relaxed) {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LOOK);
    }
    kill_all(&mut child);
    Ok(false)
}

fn kill_all(child: &mut Child) {
    let group = i32::try_from(child.id()).map(Pid::from_raw);
    let _ = group.map(|group| killpg(group, Signal::SIGKILL));
    let _ = child.kill();
    let _ = child.wait();
}

fn write_initial(file: &TrackFile) {
    let Some(initial) = file.initial else { return };
    if !initial.overwrites && file.path.exists() {
        return;
    }
    if let Err(error) = std::fs::write(&file.path, format!("{}\n", initial.number)) {
        tracing::error!(%error, file = %file.path.display(), "not written");
    }
}

/// The number in a file; 0 where there is none.
fn read_number(path: &Path) -> i64 {
    std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Whether enough of a process runs, once that has been so for long enough.
#[derive(Debug)]
struct Settled<'a> {
    process: &'a TrackProcess,
    last: Option<Reading>,
    since: Option<Instant>,
}

impl<'a> Settled<'a> {
    const fn new(process: &'a TrackProcess) -> Self {
        Self { process, last: None, since: None }
    }

    fn look(&mut self) -> Option<Reading> {
        let count = count(self.process);
        let is_enough =
            count >= self.process.quorum && self.process.quorum_max.is_none_or(|most| count <= most);
        let reading = if is_enough { Reading::Up } else { Reading::Down };
        if self.last.is_none() || self.last == Some(reading) {
            (self.last, self.since) = (Some(reading), None);
            return self.last;
        }
        let delay = if is_enough { self.process.fork_delay } else { self.process.terminate_delay };
        if self.since.get_or_insert_with(Instant::now).elapsed() >= delay {
            (self.last, self.since) = (Some(reading), None);
        }
        self.last
    }
}

/// How many processes are of this name and have these arguments.
fn count(process: &TrackProcess) -> u32 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let is_it = |path: &Path| {
        let Ok(line) = std::fs::read(path.join("cmdline")) else { return false };
        let mut words = line.split(|&byte| byte == 0).map(String::from_utf8_lossy);
        let first = words.next().unwrap_or_default();
        let name = first.rsplit('/').next().unwrap_or_default();
        let wanted = &process.process;
        let is_named = if wanted.contains('/') { first == wanted.as_str() } else { name == wanted.as_str() };
        is_named
            && process.arguments.as_ref().is_none_or(|wanted| {
                words.zip(wanted).filter(|(word, wanted)| word == wanted.as_str()).count() == wanted.len()
            })
    };
    let found = entries.flatten().filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            && is_it(&entry.path())
    });
    u32::try_from(found.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs_vrrp::declared::Command;
    use std::sync::mpsc;

    fn shell(text: &str) -> Command {
        Command { argv: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(), user: None }
    }

    #[test]
    fn results_count_only_in_a_row() {
        let script = Script { rise: 2, fall: 3, ..Script::new("s", shell("true")) };
        let mut judgement = Judgement { is_up: true, against: 0 };
        let mut hear = |is_good| judgement.hear(is_good, &script);
        assert_eq!([hear(false), hear(false), hear(true)], [None; 3]);
        assert_eq!([hear(false), hear(false), hear(false)], [None, None, Some(Reading::Down)]);
        assert_eq!([hear(true), hear(true)], [None, Some(Reading::Up)]);
    }

    #[test]
    fn a_script_that_hangs_is_killed_with_its_children() {
        let mark = format!("/tmp/lvsd-vrrp-watch-{}", std::process::id());
        let mut script = Script::new("s", shell(&format!("(sleep 1; touch {mark}) & wait")));
        script.timeout = Some(Duration::from_millis(100));
        let started = Instant::now();
        assert!(!outcome(&script, &Globals::default(), &AtomicBool::new(false)).unwrap());
        assert!(started.elapsed() < Duration::from_secs(1));
        thread::sleep(Duration::from_millis(1200));
        assert!(!Path::new(&mark).exists());
    }

    #[test]
    fn readings_are_told_when_they_change_and_threads_end_when_dropped() {
        let place = std::env::temp_dir().join(format!("lvsd-vrrp-file-{}", std::process::id()));
        std::fs::write(&place, "-20\n").unwrap();
        let mut declared = Declared::default();
        let weight = lvs_vrrp::declared::Weight { value: 1, is_reversed: false };
        let file = TrackFile { name: "f".to_owned(), path: place.clone(), weight, initial: None };
        declared.files.push(file);
        let mut instance = Instance::new("v", "lo", 1);
        let track = Track { name: "f".to_owned(), weight: None };
        instance.track_files.push(track);
        declared.instances.push(instance);
        let (sender, receiver) = mpsc::channel();
        let tell: Tell = Arc::new(move |_, reading| sender.send(reading).unwrap());
        let mut watches = Watches::default();
        watches.change(&declared, &tell);
        let patience = Duration::from_secs(20);
        assert_eq!(receiver.recv_timeout(patience), Ok(Reading::Number(-20)));
        std::fs::write(&place, "5").unwrap();
        assert_eq!(receiver.recv_timeout(patience), Ok(Reading::Number(5)));
        watches.change(&declared, &tell);
        assert!(receiver.recv_timeout(Duration::from_millis(300)).is_err(), "the same is left alone");
        watches.change(&Declared::default(), &tell);
        assert!(watches.0.is_empty());
        let _ = std::fs::remove_file(place);
    }
}
