//! nginx's stream module: as `HAProxy`, a proxy between two connections.

use std::fs;
use std::path::Path;

use lvsd::lab::process::Process;

use crate::core::Core;
use crate::daemon::Service;
use crate::failure::Failure;
use crate::site::{Lane, program};

/// Where Debian has the module.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// nginx in a lane of its own.
#[derive(Debug)]
pub(crate) struct Nginx {
    _process: Process,
    /// Where it is.
    pub(crate) lane: Lane,
}

impl Nginx {
    /// Starts it.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn start(lane: Lane, files: &Path) -> Result<Self, Failure> {
        let nginx = program("nginx", "nginx-light")?;
        if !Path::new(MODULE).exists() {
            return Err(Failure::Absent(
                "nginx's stream module is not here (apt-get install libnginx-mod-stream)".to_owned(),
            ));
        }
        lane.widen_ports()?;
        lane.take_vip()?;
        let own = files.join("nginx");
        fs::create_dir_all(&own).map_err(Failure::system("nginx"))?;
        let file = own.join("nginx.conf");
        fs::write(&file, configuration(&lane.service(), &own)).map_err(Failure::system("nginx.conf"))?;
        let log = own.join("error.log");
        let args =
            ["-p".as_ref(), own.as_os_str(), "-e".as_ref(), log.as_os_str(), "-c".as_ref(), file.as_os_str()];
        let process = Core::Any
            .run(|| Process::start(lane.host(), &nginx, &args, own.join("said.log")))
            .map_err(Failure::system("nginx"))?;
        lane.wait_for_service()?;
        Ok(Self { _process: process, lane })
    }
}

fn configuration(service: &Service, own: &Path) -> String {
    let (own, [first, second]) = (own.display(), service.servers);
    format!(
        "load_module {MODULE};\ndaemon off; user root; worker_processes auto; pid {own}/pid;\n\
         error_log {own}/error.log;\nworker_rlimit_nofile 8192;\nevents {{ worker_connections 4096; }}\n\
         stream {{ upstream inside {{ server {first}; server {second}; }}\n\
         server {{ listen {} backlog=4096 reuseport; proxy_pass inside; }} }}\n",
        service.vip
    )
}
