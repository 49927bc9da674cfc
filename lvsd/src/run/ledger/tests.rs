use super::*;
use crate::message::{ForwardMethod, RealServer, SysctlSetting, Transport, VirtualService};

fn id(port: u16) -> ServiceId {
    ServiceId::Address { transport: Transport::Tcp, vip: "192.0.2.1".parse().unwrap(), port }
}

fn service(port: u16, scheduler: &str) -> VirtualService {
    VirtualService {
        id: id(port),
        scheduler: scheduler.to_owned(),
        flags: 0,
        persistent: None,
        netmask: 32,
        persistence_engine: None,
        one_packet: false,
    }
}

fn server(host: u8, weight: u32) -> RealServer {
    RealServer {
        rip: [10, 0, 0, host].into(),
        port: 80,
        method: ForwardMethod::DirectRoute,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn sysctl(name: &str, value: &str) -> Request {
    let setting = SysctlSetting { name: name.to_owned(), value: Some(value.to_owned()) };
    Request::Sysctls { settings: vec![setting] }
}

fn all(requests: Vec<Request>) -> Vec<Change> {
    requests.into_iter().map(Change::Request).collect()
}

#[test]
fn what_a_later_change_makes_needless_is_left_out_and_nothing_else() {
    let add = |host, weight| Request::AddServer { id: id(80), server: server(host, weight) };
    let edit = |host, weight| Request::EditServer { id: id(80), server: server(host, weight) };
    let delete = |host| Request::DeleteServer { id: id(80), rip: [10, 0, 0, host].into(), port: 80 };
    let times = |tcp, udp| Request::SetTimeouts(Timeouts { tcp, tcp_fin: 0, udp });
    let changes = all(vec![
        Request::AddService(service(80, "rr")),
        add(1, 1),
        add(2, 1),
        times(100, 0),
        sysctl("conn_reuse_mode", "0"),
        edit(1, 5),
        delete(2),
        Request::EditService(service(80, "wlc")),
        edit(3, 0),
        times(0, 7),
        sysctl("conn_reuse_mode", "1"),
    ]);
    let right = all(vec![
        Request::AddService(service(80, "wlc")),
        add(1, 5),
        delete(2),
        times(100, 7),
        sysctl("conn_reuse_mode", "1"),
        edit(3, 0),
    ]);
    assert_eq!(needed(changes.clone()), right);
    assert_eq!(needed(right.clone()), right);

    let mut removed = changes.clone();
    removed.extend(all(vec![Request::DeleteService { id: id(80) }]));
    let right =
        all(vec![Request::DeleteService { id: id(80) }, times(100, 7), sysctl("conn_reuse_mode", "1")]);
    assert_eq!(needed(removed), right);

    let mut flushed = changes;
    flushed.extend(all(vec![Request::Flush, add(1, 1)]));
    let right = all(vec![times(100, 7), sysctl("conn_reuse_mode", "1"), Request::Flush, add(1, 1)]);
    assert_eq!(needed(flushed), right);
}

#[test]
fn a_successor_reads_what_was_written_however_much_there_was() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    let mut ledger = Ledger::open(directory);
    assert_eq!(ledger.changes(), []);
    for round in 0..1000 {
        let server = server(u8::try_from(round % 7).unwrap(), round);
        ledger.note(Change::Request(Request::EditServer { id: id(80), server }));
    }
    let length = fs::metadata(directory.join(NAME)).unwrap().len();
    assert!(length < 100_000, "{length} octets for seven servers");
    let mut later = Ledger::open(directory);
    assert_eq!(later.changes(), ledger.changes());
    assert_eq!(needed(later.changes().to_vec()).len(), 7);

    // A line that was not finished is not there.
    let mut file = File::options().append(true).open(directory.join(NAME)).unwrap();
    file.write_all(b"{\"request\":{\"fl").unwrap();
    assert_eq!(Ledger::open(directory).changes(), ledger.changes());
    later.note(Change::Marks(Vec::new()));
    assert_eq!(Ledger::open(directory).changes().len(), ledger.changes().len() + 1);

    let text = fs::read_to_string(directory.join(NAME)).unwrap();
    fs::write(directory.join(NAME), text.replacen(&boot(), "another", 1)).unwrap();
    assert_eq!(Ledger::open(directory).changes(), [], "the machine was started anew");
    later.remove();
    assert!(!directory.join(NAME).exists());
}
