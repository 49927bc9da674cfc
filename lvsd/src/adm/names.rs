//! Where names of hosts and ports come from.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, ToSocketAddrs},
    sync::OnceLock,
};

use crate::message::Transport;

/// How names are turned into numbers and numbers into names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As the host does: `/etc/services`, `/etc/hosts`, DNS.
    System,
    /// Ports by a built-in table, addresses never: the same on every machine (replays, tests).
    BuiltIn,
}

impl Names {
    /// The IPv4 address of a host.
    pub(super) fn address(self, name: &str) -> Option<Ipv4Addr> {
        // a number that is no address is no name either; do not trouble a name server with it
        let is_numeric = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if self == Self::BuiltIn || is_numeric || name.contains(':') {
            return None;
        }
        (name, 0).to_socket_addrs().ok()?.find_map(|addr| match addr.ip() {
            IpAddr::V4(addr) => Some(addr),
            IpAddr::V6(_) => None,
        })
    }

    /// The name of a host.
    pub(super) fn host(self, addr: IpAddr) -> Option<String> {
        if self == Self::BuiltIn {
            return None;
        }
        // without a name the resolver gives the number back
        dns_lookup::lookup_addr(&addr).ok().filter(|name| name.parse::<IpAddr>().is_err())
    }

    /// The port of that name.
    pub(super) fn port(self, name: &str, transport: Transport) -> Option<u16> {
        self.services().ports.get(&(name.to_owned(), transport)).copied()
    }

    /// The name of a port.
    pub(super) fn service(self, port: u16, transport: Transport) -> Option<&'static str> {
        self.services().names.get(&(port, transport)).map(String::as_str)
    }

    fn services(self) -> &'static Services {
        static SYSTEM: OnceLock<Services> = OnceLock::new();
        static BUILT_IN: OnceLock<Services> = OnceLock::new();
        match self {
            Self::System => SYSTEM.get_or_init(|| {
                fs::read("/etc/services").map_or_else(
                    |_| Services::parse(BUILT_IN_SERVICES),
                    |bytes| Services::parse(&String::from_utf8_lossy(&bytes)),
                )
            }),
            Self::BuiltIn => BUILT_IN.get_or_init(|| Services::parse(BUILT_IN_SERVICES)),
        }
    }
}

/// The names of ports; of several entries for one key the first counts.
#[derive(Debug, Default)]
struct Services {
    ports: HashMap<(String, Transport), u16>,
    names: HashMap<(u16, Transport), String>,
}

impl Services {
    /// Reads the format of services(5): `name port/protocol alias...`, `#` starts a comment.
    fn parse(text: &str) -> Self {
        let mut services = Self::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let (Some(name), Some((port, protocol))) =
                (words.next(), words.next().and_then(|word| word.split_once('/')))
            else {
                continue;
            };
            let transport = match protocol {
                "tcp" => Transport::Tcp,
                "udp" => Transport::Udp,
                "sctp" => Transport::Sctp,
                _ => continue,
            };
            let Ok(port) = port.parse::<u16>() else { continue };
            services.names.entry((port, transport)).or_insert_with(|| name.to_owned());
            for name in [name].into_iter().chain(words) {
                services.ports.entry((name.to_owned(), transport)).or_insert(port);
            }
        }
        services
    }
}

/// What load balancers commonly serve, as Debian names it.
const BUILT_IN_SERVICES: &str = "\
echo 7/tcp
echo 7/udp
ftp-data 20/tcp
ftp 21/tcp
ssh 22/tcp
telnet 23/tcp
smtp 25/tcp mail
time 37/tcp timserver
time 37/udp timserver
domain 53/tcp
domain 53/udp
tftp 69/udp
gopher 70/tcp
finger 79/tcp
http 80/tcp www
kerberos 88/tcp kerberos5 krb5 kerberos-sec
kerberos 88/udp kerberos5 krb5 kerberos-sec
acr-nema 104/tcp dicom
pop3 110/tcp pop-3
sunrpc 111/tcp portmapper
sunrpc 111/udp portmapper
nntp 119/tcp readnews untp
ntp 123/udp
netbios-ns 137/udp
netbios-ssn 139/tcp
imap2 143/tcp imap
snmp 161/tcp
snmp 161/udp
snmp-trap 162/udp snmptrap
bgp 179/tcp
irc 194/tcp
ldap 389/tcp
ldap 389/udp
https 443/tcp
https 443/udp
microsoft-ds 445/tcp
submissions 465/tcp ssmtp smtps urd
isakmp 500/udp
shell 514/tcp cmd syslog
syslog 514/udp
printer 515/tcp spooler
rtsp 554/tcp
rtsp 554/udp
submission 587/tcp
ipp 631/tcp
ldaps 636/tcp
ldaps 636/udp
domain-s 853/tcp
domain-s 853/udp
rsync 873/tcp
ftps 990/tcp
imaps 993/tcp
pop3s 995/tcp
socks 1080/tcp
openvpn 1194/tcp
openvpn 1194/udp
ms-sql-s 1433/tcp
ms-sql-m 1434/udp
radius 1812/udp
radius-acct 1813/udp radacct
nfs 2049/tcp
nfs 2049/udp
mysql 3306/tcp
ms-wbt-server 3389/tcp
sip 5060/tcp
sip 5060/udp
sip-tls 5061/tcp
sip-tls 5061/udp
xmpp-client 5222/tcp jabber-client
postgresql 5432/tcp postgres
amqps 5671/tcp
amqp 5672/tcp
amqp 5672/sctp
syslog-tls 6514/tcp
http-alt 8080/tcp webcache
puppet 8140/tcp
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_file_gives_names_and_aliases_and_the_first_entry_counts() {
        let services = Services::parse("# c\nhttp 80/tcp www # web\nother 80/tcp\nbad\nx y/tcp\nz 1/ddp\n");
        assert_eq!(services.names.get(&(80, Transport::Tcp)).map(String::as_str), Some("http"));
        assert_eq!(services.ports.get(&("www".to_owned(), Transport::Tcp)), Some(&80));
        assert_eq!(services.ports.get(&("other".to_owned(), Transport::Tcp)), Some(&80));
        assert_eq!(services.names.len(), 1);
    }

    #[test]
    fn the_built_in_table_knows_the_common_services_in_both_directions() {
        assert_eq!(Names::BuiltIn.port("https", Transport::Tcp), Some(443));
        assert_eq!(Names::BuiltIn.port("http", Transport::Udp), None);
        assert_eq!(Names::BuiltIn.service(8080, Transport::Tcp), Some("http-alt"));
        assert_eq!(Names::BuiltIn.service(81, Transport::Tcp), None);
    }

    #[test]
    fn a_number_that_is_no_address_is_not_asked_of_a_name_server() {
        assert_eq!(Names::System.address("300.1.1.1"), None);
        assert_eq!(Names::System.address(""), None);
        assert_eq!(Names::System.address("::1"), None);
    }
}
