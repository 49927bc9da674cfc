//! The lab while it stands: its namespaces, wires and processes.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::namespace::{self, Namespace};
use super::plan::{CLIENT, DIRECTOR, Network, Plan, Server, Way};
use super::process::Process;
use super::server::HTTP;
use super::{LabError, PREFIX, ask, files, program, wait_for};
use crate::message::{Request, Response};

/// How long a process of the lab's gets to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A lab; dropping it takes it down.
#[derive(Debug)]
pub(super) struct Lab {
    number: u32,
    plan: Plan,
    stop: Arc<AtomicBool>,
    files: PathBuf,
    // In this order: the director first, then the servers, then what they stand in.
    director: Option<Process>,
    servers: Vec<Process>,
    namespaces: Vec<Namespace>,
    is_kept: bool,
}

impl Lab {
    /// A lab with nothing in it yet.
    pub(super) fn new(number: u32, plan: Plan, stop: Arc<AtomicBool>) -> Result<Self, LabError> {
        let files = files(number);
        fs::create_dir_all(&files)
            .map_err(|source| LabError::Io { what: format!("cannot make {}", files.display()), source })?;
        Ok(Self {
            number,
            plan,
            stop,
            files,
            director: None,
            servers: Vec::new(),
            namespaces: Vec::new(),
            is_kept: false,
        })
    }

    /// The number its namespaces carry.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// Who is in it.
    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The director's control socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.files.join("lvsd.sock")
    }

    /// The full name of a host's namespace.
    pub(super) fn namespace_name(&self, host: &str) -> String {
        format!("{PREFIX}{}-{host}", self.number)
    }

    /// Fails once somebody pressed Ctrl-C.
    pub(super) fn check(&self) -> Result<(), LabError> {
        if self.stop.load(Ordering::Relaxed) { Err(LabError::Interrupted) } else { Ok(()) }
    }

    /// The namespace of a host.
    pub(super) fn host(&self, host: &str) -> Result<&Namespace, LabError> {
        let name = self.namespace_name(host);
        self.namespaces
            .iter()
            .find(|namespace| namespace.name() == name)
            .ok_or_else(|| LabError::Io { what: name, source: std::io::ErrorKind::NotFound.into() })
    }

    /// Makes namespaces, wires and addresses.
    pub(super) fn build(&mut self) -> Result<(), LabError> {
        let mut hosts = vec!["router".to_owned(), "client".to_owned(), "director".to_owned()];
        hosts.extend(self.plan.servers.iter().map(|server| server.name.clone()));
        for host in hosts {
            self.check()?;
            self.namespaces.push(Namespace::create(&self.namespace_name(&host))?);
        }
        self.build_router()?;
        self.plug("client", "eth0", Network::Outside, CLIENT)?;
        self.plug("director", "eth0", Network::Lan, DIRECTOR)?;
        self.host("client")?.route_by(Network::Outside.gateway())?;
        self.host("director")?.route_by(Network::Lan.gateway())?;
        if self.plan.ways.contains(&Way::Nat) {
            // The servers' gateway is the director itself.
            self.plug("director", "eth1", Network::Inside, 1)?;
        }
        for server in self.plan.servers.clone() {
            self.check()?;
            self.plug_in(&server.name, "eth0", server.way.network(), server.addresses)?;
            self.host(&server.name)?.route_by(server.way.network().gateway())?;
        }
        Ok(())
    }

    /// The router is a switch for each network as well; through the inside one it only connects.
    fn build_router(&self) -> Result<(), LabError> {
        let router = self.host("router")?;
        router.sysctl("ipv4/ip_forward", "1")?;
        router.sysctl("ipv6/conf/all/forwarding", "1")?;
        for network in [Network::Outside, Network::Lan, Network::Inside, Network::Far] {
            let bridge = bridge(network);
            router.ip(&format!("link add {bridge} type bridge stp_state 0 forward_delay 0\n"))?;
            if network == Network::Inside {
                router.ip(&format!("link set {bridge} up\n"))?;
            } else {
                router.give_addresses(bridge, network.gateway())?;
            }
        }
        Ok(())
    }

    fn plug(&self, host: &str, interface: &str, network: Network, number: u8) -> Result<(), LabError> {
        self.plug_in(host, interface, network, network.hosts(number))
    }

    /// Connects a host to a network.
    fn plug_in(
        &self,
        host: &str,
        interface: &str,
        network: Network,
        addresses: [std::net::IpAddr; 2],
    ) -> Result<(), LabError> {
        let (router, namespace) = (self.host("router")?, self.host(host)?);
        let port = if interface == "eth0" { host.to_owned() } else { format!("{host}.in") };
        let bridge = bridge(network);
        let far = namespace.name();
        router.ip(&format!(
            "link add {port} type veth peer name {interface} netns {far}\nlink set {port} master {bridge} up\n"
        ))?;
        namespace.give_addresses(interface, addresses)?;
        Ok(())
    }

    /// Sets the real servers' hosts up and starts their servers.
    pub(super) fn start_servers(&mut self) -> Result<(), LabError> {
        for server in self.plan.servers.clone() {
            self.check()?;
            self.set_up(&server)?;
            let mut args = vec!["lab-server".to_owned(), "--name".to_owned(), server.name.clone()];
            for address in server.echo_addresses() {
                args.extend(["--echo".to_owned(), address.to_string()]);
            }
            let process = self.start(&server.name, &args)?;
            self.servers.push(process);
        }
        for (index, server) in self.plan.servers.iter().enumerate() {
            let namespace = self.host(&server.name)?;
            let address = SocketAddr::new(server.addresses[0], HTTP);
            let is_there = || {
                let connected =
                    namespace.inside(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok());
                connected.unwrap_or(false)
            };
            if !wait_for(&self.stop, PATIENCE, is_there)? {
                let said = self.servers.get(index).map(Process::last_words).unwrap_or_default();
                return Err(LabError::NotStarted { who: server.name.clone(), said });
            }
        }
        Ok(())
    }

    /// Does on a real server's host what its administrator would.
    fn set_up(&self, server: &Server) -> Result<(), LabError> {
        let journal = self.files.join(&server.name).display().to_string();
        let program = program()?.display().to_string();
        let namespace = self.host(&server.name)?;
        let mut args = vec!["netns", "exec", namespace.name(), &program, "host", "real-server"];
        let vips = server.way.vips().map(|vip| vip.to_string());
        let gateways = Network::Inside.gateway().map(|gateway| gateway.to_string());
        match server.way {
            Way::Nat => {
                // Nothing to set up: that the gateway is the director is checked.
                args.extend(["check", "--mode", "nat"]);
                args.extend(gateways.iter().flat_map(|gateway| ["--director", gateway.as_str()]));
            }
            Way::Dr => args.extend(["apply", "--mode", "dr"]),
            Way::Tun => args.extend(["apply", "--mode", "tun", "--dev", "eth0"]),
        }
        if server.way != Way::Nat {
            args.extend(vips.iter().flat_map(|vip| ["--vip", vip.as_str()]));
        }
        args.extend(["--journal", &journal]);
        namespace::run("ip", &args, "")?;
        Ok(())
    }

    /// Writes the director's configuration and starts it.
    pub(super) fn start_director(&mut self) -> Result<(), LabError> {
        let file = self.files.join("lvsd.toml");
        fs::write(&file, self.plan.configuration())
            .map_err(|source| LabError::Io { what: format!("cannot write {}", file.display()), source })?;
        let socket = self.socket();
        let text = |path: &Path| path.display().to_string();
        let args = ["run".to_owned(), "-c".to_owned(), text(&file), "--socket".to_owned(), text(&socket)];
        let mut director = self.start("director", &args)?;
        let answers =
            || !director.is_running() || matches!(ask(&socket, Request::Status), Some(Response::Status(_)));
        let is_up = wait_for(&self.stop, PATIENCE, answers)? && director.is_running();
        if !is_up {
            return Err(LabError::NotStarted { who: "the director".to_owned(), said: director.last_words() });
        }
        self.director = Some(director);
        Ok(())
    }

    fn start(&self, host: &str, args: &[String]) -> Result<Process, LabError> {
        let log = self.files.join(format!("{host}.log"));
        Process::start(self.host(host)?, &program()?, args, log)
            .map_err(|source| LabError::Io { what: format!("cannot start {host}"), source })
    }

    /// What the director said last.
    pub(super) fn directors_words(&self) -> String {
        self.director.as_ref().map(Process::last_words).unwrap_or_default()
    }

    /// Leaves everything there.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
        self.director.iter_mut().chain(&mut self.servers).for_each(Process::keep);
        self.namespaces.iter_mut().for_each(Namespace::keep);
    }

    /// Ends the processes and removes the namespaces and files.
    pub(super) fn take_down(&mut self) {
        self.director = None;
        self.servers.clear();
        self.namespaces.clear();
        let _ = fs::remove_dir_all(&self.files);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.is_kept {
            self.take_down();
        }
    }
}

const fn bridge(network: Network) -> &'static str {
    match network {
        Network::Outside => "outside",
        Network::Lan => "lan",
        Network::Inside => "inside",
        Network::Far => "far",
    }
}
