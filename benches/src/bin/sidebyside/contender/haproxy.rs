//! `HAProxy` in TCP mode: a connection to the client and another one to the server.

use std::fs;
use std::path::Path;

use lvsd::lab::process::Process;

use crate::core::Core;
use crate::daemon::Service;
use crate::failure::Failure;
use crate::site::{Lane, program};

/// `HAProxy` in a lane of its own.
#[derive(Debug)]
pub(crate) struct Haproxy {
    _process: Process,
    /// Where it is.
    pub(crate) lane: Lane,
}

impl Haproxy {
    /// Starts it.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn start(lane: Lane, files: &Path) -> Result<Self, Failure> {
        let haproxy = program("haproxy", "haproxy")?;
        lane.widen_ports()?;
        lane.take_vip()?;
        let file = files.join("haproxy.cfg");
        fs::write(&file, configuration(&lane.service())).map_err(Failure::system("haproxy.cfg"))?;
        let args = ["-f".as_ref(), file.as_os_str(), "-db".as_ref()];
        let process = Core::Any
            .run(|| Process::start(lane.host(), &haproxy, &args, files.join("haproxy.log")))
            .map_err(Failure::system("haproxy"))?;
        lane.wait_for_service()?;
        Ok(Self { _process: process, lane })
    }
}

fn configuration(service: &Service) -> String {
    let [first, second] = service.servers;
    format!(
        "global\n  maxconn 2000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  \
         timeout server 60s\nfrontend outside\n  bind {}\n  default_backend inside\nbackend inside\n  \
         balance roundrobin\n  server one {first}\n  server two {second}\n",
        service.vip
    )
}
