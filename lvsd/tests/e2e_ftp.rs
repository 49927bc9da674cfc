//! A real FTP server and a real client through NAT: files there and back, active and passive, over IPv4 and IPv6.
//!
//! The addresses of service and servers are of different lengths as text, so every answer to PASV changes its own
//! length, and all that follows on the control connection has to be moved.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use net::trio::{self, NAT, bracketed};
use net::{Net, wait_for};

/// The files that are fetched, by their lengths: none, one segment, many, and more than a window.
const LENGTHS: [usize; 4] = [0, 100, 70_000, 3_000_000];

/// Content that no repetition or shift can hide an error in.
fn content(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d ^ u64::try_from(length).unwrap();
    let octets = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    octets.flatten().take(length).collect()
}

/// The user that vsftpd is for everybody, as its package makes it.
fn ftp_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("ftp:"));
    let line = line.unwrap_or_else(|| panic!("install the package vsftpd"));
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Starts vsftpd on a host, for everybody, with the files to be fetched and a directory `in` for what is brought.
fn start_server(net: &mut Net, host: &str) -> PathBuf {
    let place = net.files.join(format!("{host}-ftp"));
    let (root, empty) = (place.join("root"), place.join("empty"));
    for directory in [&root.join("in"), &empty] {
        fs::create_dir_all(directory).unwrap();
    }
    for length in LENGTHS {
        fs::write(root.join(length.to_string()), content(length)).unwrap();
    }
    let (user, group) = ftp_user();
    chown(root.join("in"), Some(user), Some(group)).unwrap();
    // A session is a process by itself, which must not outlive a test that failed for long.
    let mut config = String::from(
        "listen=NO\nlisten_ipv6=YES\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nno_anon_password=YES\n\
         write_enable=YES\nanon_upload_enable=YES\nanon_umask=022\nconnect_from_port_20=YES\nxferlog_enable=NO\n\
         seccomp_sandbox=NO\nisolate=NO\nisolate_network=NO\n\
         idle_session_timeout=15\ndata_connection_timeout=15\naccept_timeout=5\nconnect_timeout=5\n",
    );
    let _ = write!(config, "anon_root={}\nsecure_chroot_dir={}\n", root.display(), empty.display());
    let file = place.join("vsftpd.conf");
    fs::write(&file, config).unwrap();
    net.start(host, &["vsftpd", file.to_str().unwrap()]);
    let namespace = net.host(host);
    let at = SocketAddr::from(([127, 0, 0, 1], 21));
    wait_for("vsftpd answers", || namespace.inside(|| TcpStream::connect(at).is_ok()).unwrap());
    root
}

/// One session of curl's on the client's host: with `options`, and then what is fetched or brought.
fn session(net: &Net, options: &[&str], work: &[String]) -> String {
    // Without the first of them curl would not look at the address in an answer to PASV.
    let mut command = vec!["curl", "-sS", "-g", "--no-ftp-skip-pasv-ip", "--noproxy", "*"];
    command.extend(["--connect-timeout", "5", "--max-time", "30"]);
    command.extend(options);
    command.extend(work.iter().map(String::as_str));
    let done = net.run_within("client", &command, Duration::from_secs(40));
    assert_eq!(done.status, Some(0), "{options:?}: {}\n{}", done.err, net.account());
    done.out
}

/// Fetches every file and the directory in one session, and compares.
fn fetch(net: &Net, options: &[&str], vip: IpAddr) {
    let url = format!("ftp://{}/", bracketed(vip));
    let target = |length: usize| net.files.join(format!("fetched-{length}"));
    let mut work = vec![url.clone()];
    for length in LENGTHS {
        work.extend([format!("{url}{length}"), "-o".to_owned(), target(length).display().to_string()]);
    }
    // The directory's listing is the one that goes to the output.
    work.splice(1..1, ["-o".to_owned(), "-".to_owned()]);
    let listing = session(net, options, &work);
    for length in LENGTHS {
        assert!(
            listing.contains(&format!(" {length}\n")) || listing.contains(&format!(" {length}\r\n")),
            "{listing}"
        );
        assert!(
            fs::read(target(length)).unwrap() == content(length),
            "{options:?} {vip}: {length} octets differ"
        );
        fs::remove_file(target(length)).unwrap();
    }
}

/// Brings two files in one session; one of the servers has both afterwards, octet for octet.
fn bring(net: &Net, options: &[&str], vip: IpAddr, name: &str, roots: &[PathBuf]) {
    let mut work = Vec::new();
    for length in [100, 70_000] {
        let file = net.files.join(format!("own-{length}"));
        fs::write(&file, content(length)).unwrap();
        let url = format!("ftp://{}/in/{name}-{length}", bracketed(vip));
        work.extend(["-T".to_owned(), file.display().to_string(), url]);
    }
    session(net, options, &work);
    let has = |root: &Path, length: usize| {
        fs::read(root.join(format!("in/{name}-{length}"))).is_ok_and(|found| found == content(length))
    };
    let both = roots.iter().filter(|root| has(root, 100) && has(root, 70_000)).count();
    assert_eq!(both, 1, "{options:?} {vip}: brought to one server, whole\n{}", net.account());
}

/// The connections of the listing that are no control connections: their state, and the service's port.
fn data_connections(net: &Net) -> Vec<(String, String)> {
    let listing = net.adm("-Lnc");
    let rows = listing.lines().filter(|line| line.starts_with("TCP"));
    let found = rows.map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields[2].to_owned(), fields[4].rsplit_once(':').unwrap().1.to_owned())
    });
    found.filter(|(_, port)| port != "21").collect()
}

#[test]
#[ignore = "needs root"]
fn files_come_and_go_by_ftp_through_nat() {
    let mut net = trio::build(&[NAT]);
    let roots = NAT.servers().map(|server| start_server(&mut net, &server));
    trio::start_director(&mut net, &[NAT]);
    for (family, vip) in NAT.vips().into_iter().enumerate() {
        let server = |number: u8| format!("{} -m", SocketAddr::new(NAT.rips(number)[family], 21));
        net.serve(&format!("-t {}", SocketAddr::new(vip, 21)), "rr", &[&server(1), &server(2)]);
    }
    let ways: [(&str, &[&str], &[usize]); 4] = [
        ("pasv", &["--ftp-pasv", "--disable-epsv"], &[0]),
        ("epsv", &["--ftp-pasv"], &[0, 1]),
        ("port", &["--ftp-port", "-", "--disable-eprt"], &[0]),
        ("eprt", &["--ftp-port", "-"], &[0, 1]),
    ];
    let mut sessions = [0, 0];
    for (name, options, families) in ways {
        for &family in families {
            let vip = NAT.vips()[family];
            // Two sessions in turn, so that each server has its part.
            for _ in 0..2 {
                fetch(&net, options, vip);
            }
            bring(&net, options, vip, &format!("{name}{family}"), &roots);
            sessions[family] += 3;
        }
    }
    let data = data_connections(&net);
    assert!(data.iter().all(|(state, _)| state != "LISTEN"), "all that were expected came: {data:?}");
    assert!(data.iter().any(|(_, port)| port == "20"), "{data:?}");
    assert!(data.iter().any(|(_, port)| port != "20"), "{data:?}");
    let listing = net.adm("-Ln --stats --exact");
    for (family, sessions) in sessions.into_iter().enumerate() {
        let service = SocketAddr::new(NAT.vips()[family], 21).to_string();
        let line = listing.lines().find(|line| line.contains(&service)).unwrap();
        let conns = line.split_whitespace().nth(2).unwrap();
        assert_eq!(conns, sessions.to_string(), "only control connections count: {line}");
    }
    let status = net.assert_balanced();
    assert_eq!((status.held, net.drops().contains("bad-l4-checksum")), (0, false), "{}", net.account());
    net.stop_director();
}
