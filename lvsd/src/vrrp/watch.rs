//! Watches scripts, files and processes for the virtual routers, each on threads of their own.

mod process;
mod script;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lvs_vrrp::Reading;
use lvs_vrrp::declared::{Declared, Globals, Instance, Script, SyncGroup, Track, TrackFile, TrackProcess};
use process::Settled;

/// How often files are read.
const FILES: Duration = Duration::from_millis(100);
/// How often processes are looked for.
const PROCESSES: Duration = Duration::from_millis(500);

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
            Self::Script(script, globals) => script::watch(script, globals, stop, tell),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn readings_are_told_when_they_change_and_threads_end_when_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("weight");
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
    }
}
