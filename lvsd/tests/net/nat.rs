//! A director of NAT whose services stand in a file, so that a successor has the same.

use std::fmt::Write as _;

use super::Net;
use super::trio::{self, NAT};

/// The network of NAT alone, with a director whose interfaces take redirected frames.
pub fn build() -> Net {
    let net = trio::build(&[NAT]);
    trio::take_redirects(&net, &[NAT]);
    net
}

/// A file with the service's address, and for each protocol and port a service whose two servers have this weight; its
/// path.
pub fn write_file(net: &Net, services: &[(&str, u16)], weight: u32) -> String {
    let vip = NAT.vips()[0];
    let mut text = "interfaces = [\"eth0\", \"eth1\"]\n".to_owned();
    let _ = writeln!(text, "[[host.vip]]\naddress = \"{vip}\"\ninterface = \"eth0\"");
    for (protocol, port) in services {
        let service = format!("protocol = \"{protocol}\"\naddress = \"{vip}:{port}\"\nscheduler = \"rr\"");
        let _ = writeln!(text, "[[service]]\n{service}");
        for server in [1, 2] {
            let address = NAT.rips(server)[0];
            let server = format!("address = \"{address}\"\nmethod = \"nat\"\nweight = {weight}");
            let _ = writeln!(text, "[[service.server]]\n{server}");
        }
    }
    net.write_file(&text)
}
