//! A network namespace of its own for a test, removed also when the test fails.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A namespace with its loopback up and duplicate address detection off.
pub(crate) struct Namespace {
    pub(crate) name: String,
    journals: PathBuf,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lvst-{}-host{number}", std::process::id());
        let journals = std::env::temp_dir().join(format!("{name}-journals"));
        sh(&format!("ip netns add {name}"));
        let namespace = Self { name, journals };
        namespace.sh("ip link set lo up
             echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad
             echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad");
        namespace
    }

    /// With `interfaces` as ends of veth pairs whose other ends are in `peer` under the same name.
    pub(crate) fn joined(peer: &Self, interfaces: &[(&str, &str, &str)]) -> Self {
        let namespace = Self::new();
        namespace.join(peer, interfaces);
        namespace
    }

    /// Adds a veth pair per (name, address here, address there).
    pub(crate) fn join(&self, peer: &Self, interfaces: &[(&str, &str, &str)]) {
        for (number, (interface, here, there)) in interfaces.iter().enumerate() {
            let other = format!("{interface}p");
            // Fixed hardware addresses make two namespaces comparable.
            self.sh(&format!(
                "ip link add {interface} address 02:00:00:00:01:0{number} type veth \
                     peer name {other} address 02:00:00:00:02:0{number} netns {peer}
                 ip addr add {here} dev {interface}
                 ip link set {interface} up
                 ip -n {peer} link set {other} name {interface}
                 ip -n {peer} addr add {there} dev {interface}
                 ip -n {peer} link set {interface} up",
                peer = peer.name
            ));
        }
    }

    /// Where this namespace's journals go.
    pub(crate) fn journals(&self) -> PathBuf {
        self.journals.clone()
    }

    /// Runs shell lines in the namespace; each must succeed.
    pub(crate) fn sh(&self, lines: &str) -> String {
        let script = format!("ip netns exec {} bash -ec '{}'", self.name, lines.replace('\'', r"'\''"));
        sh(&script)
    }

    /// Runs `work` on a thread that is inside the namespace.
    pub(crate) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let place = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(place, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = std::fs::remove_dir_all(&self.journals);
    }
}

fn sh(script: &str) -> String {
    let output = Command::new("bash").args(["-ec", script]).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Asks again and again until `condition` holds; false when it does not within `patience`.
pub(crate) fn eventually(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < patience {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    condition()
}
