//! Network namespaces that are removed again, and what is done inside them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::process::{Command, Output, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// Where `ip netns` keeps its namespaces.
const PLACE: &str = "/run/netns";

/// Why a step of the lab did not work.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// A program could not be started.
    #[error("cannot run {program}: {source}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program failed.
    #[error("{command} failed: {said}")]
    Failed {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// A namespace cannot be entered or changed.
    #[error("namespace {name}: {source}")]
    Io {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// A network namespace of `ip netns`; dropping it removes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    is_kept: bool,
}

impl Namespace {
    /// Makes the namespace `name`, with its loopback up, forwarding and reverse path filters off, and addresses
    /// that are usable at once.
    ///
    /// # Errors
    /// It exists, or the caller is not root.
    pub fn create(name: &str) -> Result<Self, NamespaceError> {
        run("ip", &["netns", "add", name], "")?;
        let namespace = Self { name: name.to_owned(), is_kept: false };
        namespace.ip("link set lo up\n")?;
        for (key, value) in [
            ("ipv4/ip_forward", "0"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/all/accept_dad", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/accept_ra", "0"),
            ("ipv6/conf/default/router_solicitations", "0"),
        ] {
            namespace.sysctl(key, value)?;
        }
        Ok(namespace)
    }

    /// Its name, as `ip netns` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves it there when this value is dropped.
    pub const fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Runs lines of `ip` commands in it.
    ///
    /// # Errors
    /// What `ip` says against one of them; those before it were carried out.
    pub fn ip(&self, commands: &str) -> Result<(), NamespaceError> {
        run("ip", &["-n", &self.name, "-batch", "-"], commands).map(drop)
    }

    /// Gives an interface its addresses and sets it up.
    ///
    /// # Errors
    /// As [`ip`](Self::ip).
    pub fn give_addresses(&self, interface: &str, addresses: [IpAddr; 2]) -> Result<(), NamespaceError> {
        let [v4, v6] = addresses;
        self.ip(&format!(
            "link set {interface} up\naddr add {v4}/24 dev {interface}\naddr add {v6}/64 dev {interface} nodad\n"
        ))
    }

    /// Routes everything that is not on a link to these gateways.
    ///
    /// # Errors
    /// As [`ip`](Self::ip).
    pub fn route_by(&self, gateways: [IpAddr; 2]) -> Result<(), NamespaceError> {
        let [v4, v6] = gateways;
        self.ip(&format!("route add 0.0.0.0/0 via {v4}\nroute add ::/0 via {v6}\n"))
    }

    /// Sets a parameter under `net/`.
    ///
    /// # Errors
    /// There is none of that name, or it does not take the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), NamespaceError> {
        let path = format!("/proc/sys/net/{key}");
        self.inside(|| fs::write(path, value))?.map_err(|source| self.error(source))
    }

    /// Runs `work` on a thread of its own that belongs to the namespace; sockets it opens stay in there.
    ///
    /// # Errors
    /// The namespace cannot be entered.
    pub fn inside<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, NamespaceError> {
        let entered = || {
            let file = File::open(format!("{PLACE}/{}", self.name))?;
            setns(file, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        };
        thread::scope(|scope| {
            let joined = scope.spawn(entered).join();
            joined
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                .map_err(|source| self.error(source))
        })
    }

    fn error(&self, source: io::Error) -> NamespaceError {
        NamespaceError::Io { name: self.name.clone(), source }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !self.is_kept {
            // Nothing to be done about a failure; the interfaces in it go with it.
            let _ = run("ip", &["netns", "del", &self.name], "");
        }
    }
}

/// The namespaces there are whose name begins with `prefix`.
///
/// # Errors
/// The directory cannot be read.
pub fn list(prefix: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    match fs::read_dir(PLACE) {
        Ok(entries) => {
            for entry in entries {
                names.extend(entry?.file_name().into_string().ok().filter(|name| name.starts_with(prefix)));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    names.sort();
    Ok(names)
}

/// Runs a program to its end with `input` on its standard input.
///
/// # Errors
/// It cannot be started, or fails; what it said on standard error is told.
pub fn run(program: &str, args: &[&str], input: &str) -> Result<Output, NamespaceError> {
    tracing::debug!(target: "lvsd::lab", "{program} {}{}", args.join(" "), input.replace('\n', "; "));
    let start = |source| NamespaceError::Start { program: program.to_owned(), source };
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading says why itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(start)?;
    if output.status.success() {
        return Ok(output);
    }
    let command = format!("{program} {}", args.join(" "));
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(NamespaceError::Failed { command, said })
}
