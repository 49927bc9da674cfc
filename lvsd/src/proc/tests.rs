use crate::message::{ConnectionListing, Response, Stats, Totals};

use super::File;

fn totals() -> Response {
    let total = Stats {
        conns: 6,
        in_packets: 7,
        out_packets: 1,
        in_bytes: 0x12d,
        out_bytes: 0x28,
        cps: 1,
        in_pps: 1,
        out_pps: 0,
        in_bps: 0x1c,
        out_bps: 4,
    };
    let idle = Stats::default();
    let busy = Stats { cps: 0, in_pps: 0, in_bps: 0, out_bps: 0, ..total };
    Response::Totals(Totals { total, workers: vec![idle, busy] })
}

/// Recorded from Linux 6.1.192 with two processors.
#[test]
fn counters_are_written_as_the_kernel_writes_them() {
    let expected = "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
       6        7        1              12D               28

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       1        1        0               1C                4
";
    assert_eq!(File::Counters.text(&totals()).unwrap(), expected);
}

/// Recorded likewise.
#[test]
fn counters_by_worker_are_written_as_the_kernel_writes_those_by_processor() {
    let expected = "       Total Incoming Outgoing         Incoming         Outgoing
CPU    Conns  Packets  Packets            Bytes            Bytes
  0        0        0        0                0                0
  1        6        7        1              12D               28
  ~        6        7        1              12D               28

     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
           1        1        0               1C                4
";
    assert_eq!(File::CountersByWorker.text(&totals()).unwrap(), expected);
}

#[test]
fn a_file_is_not_made_of_another_files_answer() {
    for file in File::ALL {
        assert!(file.text(&Response::Done).is_none(), "{file:?}");
        let is_made_of_totals = file.request() == crate::message::Request::Totals;
        assert_eq!(file.text(&totals()).is_some(), is_made_of_totals, "{file:?}");
    }
}

#[test]
fn the_names_on_the_command_line_are_the_files() {
    use clap::ValueEnum;
    for file in File::ALL {
        assert_eq!(file.to_possible_value().unwrap().get_name(), file.name());
    }
    assert_eq!(File::value_variants(), File::ALL);
}

#[test]
fn what_a_persistence_engine_keeps_stands_behind_its_template() {
    let template = ConnectionListing {
        proto: 17,
        expires: 297,
        state: "UDP".to_owned(),
        cip: "198.51.100.7".parse().unwrap(),
        client_port: 0,
        vip: "10.9.9.9".parse().unwrap(),
        service_port: 5060,
        rip: "10.2.0.15".parse().unwrap(),
        server_port: 5060,
        persistence: Some(("sip".to_owned(), "4711@198.51.100.7".to_owned())),
    };
    let text = File::Connections.text(&Response::Connections { connections: vec![template] }).unwrap();
    assert_eq!(
        text.lines().nth(1).unwrap(),
        "UDP C6336407 0000 0A090909 13C4 0A02000F 13C4 UDP             297 sip 4711@198.51.100.7"
    );
}
