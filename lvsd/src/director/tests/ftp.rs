//! FTP through NAT: what is said on the control connection, and the data connections that follow from it.

use std::net::SocketAddr;
use std::time::Duration;

use lvs_conntrack::Proto;
use lvs_forward::checksum::{is_right, pseudo_header};
use lvs_forward::rewrite::segment;
use lvs_forward::{DropReason, Headers, Verdict};

use super::super::Binding;
use super::frames::{ACK, RST, SYN, finished, fragmented, tcp};
use super::scene::{INSIDE, OUTSIDE, Outcome, Scene, at};

const PSH: u8 = 0x08;
/// Longer for the client than for the server: 203,0,113,1 for 10,0,0,11.
const ANSWER: &str = "227 Entering Passive Mode (10,0,0,11,200,10).\r\n";
const CHANGED: &str = "227 Entering Passive Mode (203,0,113,1,200,10).\r\n";

/// The ends of a control connection.
#[derive(Clone, Copy)]
struct Ends {
    client: &'static str,
    vip: &'static str,
    rip: &'static str,
}

const V4: Ends = Ends { client: "198.51.100.7:4000", vip: "203.0.113.1:21", rip: "10.0.0.11:21" };
const V6: Ends = Ends { client: "[2001:db8:c::7]:4000", vip: "[2001:db8::1]:21", rip: "[2001:db8:b::11]:21" };

fn says(from: SocketAddr, to: SocketAddr, flags: u8, (seq, ack): (u32, u32), text: &str) -> Vec<u8> {
    let mut bytes = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    bytes.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
    bytes.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(text.as_bytes());
    finished(from.ip(), to.ip(), Proto::TCP, bytes, 16)
}

/// What a forwarded segment says, with its sequence and acknowledgement numbers; its checksum must be right.
fn said(outcome: &Outcome) -> (String, u32, u32) {
    let headers = outcome.headers();
    let bytes = headers.transport_bytes(&outcome.frame);
    let sum = pseudo_header(headers.src, headers.dst, headers.proto, bytes.len()).bytes(bytes);
    assert!(is_right(sum), "the checksum of {headers:?}");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let text = segment::payload(&outcome.frame, &headers).unwrap();
    (String::from_utf8(text.to_vec()).unwrap(), number(4), number(8))
}

/// A service with a masqueraded server and an established control connection.
struct Talk {
    scene: Scene,
    ends: Ends,
}

impl Talk {
    fn new(ends: Ends) -> Self {
        let Ends { vip, rip, .. } = ends;
        Self::with(&[&format!("-A -t {vip} -s rr"), &format!("-a -t {vip} -r {rip} -m")], ends)
    }

    fn with(commands: &[&str], ends: Ends) -> Self {
        let scene = Scene::new(commands);
        let mut talk = Self { scene, ends };
        talk.open();
        talk
    }

    fn open(&mut self) {
        let Ends { client, vip, rip } = self.ends;
        self.scene.client_sends(&tcp(at(client), at(vip), SYN));
        self.scene.server_sends(&tcp(at(rip), at(client), SYN | ACK));
        self.scene.client_sends(&tcp(at(client), at(vip), ACK));
    }

    fn client(&mut self, numbers: (u32, u32), text: &str) -> Outcome {
        let frame = says(at(self.ends.client), at(self.ends.vip), ACK | PSH, numbers, text);
        self.scene.client_sends(&frame)
    }

    fn server(&mut self, numbers: (u32, u32), text: &str) -> Outcome {
        let frame = says(at(self.ends.rip), at(self.ends.client), ACK | PSH, numbers, text);
        self.scene.server_sends(&frame)
    }

    /// The rows of the listing: state, client, service's port, server.
    fn rows(&mut self) -> Vec<(String, SocketAddr, u16, SocketAddr)> {
        let listed = self.scene.connections().into_iter().map(|conn| {
            let (client, server) =
                (SocketAddr::new(conn.cip, conn.client_port), SocketAddr::new(conn.rip, conn.server_port));
            (conn.state, client, conn.service_port, server)
        });
        let mut rows: Vec<_> = listed.collect();
        rows.sort();
        rows
    }

    fn data(&mut self) -> Vec<(String, SocketAddr, u16, SocketAddr)> {
        self.rows().into_iter().filter(|row| row.2 != 21).collect()
    }
}

fn row(state: &str, client: &str, port: u16, server: &str) -> (String, SocketAddr, u16, SocketAddr) {
    (state.to_owned(), at(client), port, at(server))
}

#[test]
fn an_answer_to_pasv_names_the_service_and_its_connection_is_expected() {
    let mut talk = Talk::new(V4);
    assert_eq!(said(&talk.client((10, 100), "PASV\r\n")).0, "PASV\r\n", "as it came");
    assert!(talk.data().is_empty());
    let answer = talk.server((100, 16), ANSWER);
    assert_eq!((answer.verdict, said(&answer)), (Verdict::Send(OUTSIDE), (CHANGED.to_owned(), 100, 16)));
    assert_eq!(talk.data(), [row("LISTEN", "198.51.100.7:0", 51210, "10.0.0.11:51210")]);
    assert_eq!(talk.scene.counts(11), (1, 1, 0));
    let stats = talk.scene.servers()[0].stats;
    assert_eq!((stats.conns, stats.in_packets, stats.out_packets), (1, 3, 2));
    assert_eq!(stats.out_bytes, 40 + 40 + u64::try_from(CHANGED.len()).unwrap(), "what left is counted");

    let there = talk.scene.client_sends(&tcp(at("198.51.100.7:4001"), at("203.0.113.1:51210"), SYN));
    assert_eq!((there.headers().dst, there.headers().ports()), (at(V4.rip).ip(), (4001, 51210)));
    assert_eq!(talk.data(), [row("SYN_RECV", "198.51.100.7:4001", 51210, "10.0.0.11:51210")]);
    let back = talk.scene.server_sends(&tcp(at("10.0.0.11:51210"), at("198.51.100.7:4001"), SYN | ACK));
    assert_eq!((back.headers().src, back.headers().ports()), (at(V4.vip).ip(), (51210, 4001)));
    assert_eq!(talk.scene.servers()[0].stats.conns, 1, "a data connection is not counted as one");
    let second = talk.scene.client_sends(&tcp(at("198.51.100.7:4002"), at("203.0.113.1:51210"), SYN));
    assert_eq!(second.verdict, Verdict::ToHost, "one connection was expected, not two");
}

#[test]
fn all_that_follows_a_changed_answer_is_moved_and_all_before_it_is_not() {
    let mut talk = Talk::new(V4);
    let (long, by) = (u32::try_from(ANSWER.len()).unwrap(), 2);
    talk.client((10, 100), "PASV\r\n");
    talk.server((100, 16), ANSWER);
    assert_eq!(said(&talk.client((16, 100 + long + by), "LIST\r\n")), ("LIST\r\n".into(), 16, 100 + long));
    assert_eq!(said(&talk.client((16, 100), "")).2, 100, "it has not seen the answer");
    let next = 100 + long;
    assert_eq!(said(&talk.server((next, 22), "150 x\r\n")), ("150 x\r\n".into(), next + by, 22));
    assert_eq!(said(&talk.server((99, 22), "")).1, 99);
    // Once more; now the first move lies before the second.
    talk.client((22, next + by + 7), "PASV\r\n");
    assert_eq!(said(&talk.server((next + 7, 28), ANSWER)), (CHANGED.into(), next + 7 + by, 28));
    assert_eq!(said(&talk.server((next + 7 + long, 28), "226\r\n")).1, next + 7 + long + 2 * by);
    assert_eq!(said(&talk.client((28, next + 7 + by), "")).2, next + 7);
    assert_eq!(said(&talk.client((28, next + 7 + long + 2 * by), "")).2, next + 7 + long);
}

#[test]
fn an_answer_that_is_sent_again_is_changed_again_and_moves_nothing_more() {
    let mut talk = Talk::new(V4);
    let long = u32::try_from(ANSWER.len()).unwrap();
    talk.client((10, 100), "PASV\r\n");
    // The server alone, the client alone, both: the kernel passes what the server alone sends again unchanged.
    for asks_again in [false, false, true, true] {
        assert_eq!(said(&talk.server((100, 16), ANSWER)), (CHANGED.into(), 100, 16));
        if asks_again {
            talk.client((10, 100), "PASV\r\n");
        }
    }
    assert_eq!(said(&talk.server((100 + long, 16), "150 x\r\n")).1, 100 + long + 2);
    assert_eq!(talk.data().len(), 1);
}

#[test]
fn port_and_eprt_let_the_server_connect_from_the_services_address() {
    for (ends, text, client) in [
        (V4, "PORT 198,51,100,7,156,66\r\n", "198.51.100.7:40002"),
        (V4, "EPRT |1|198.51.100.7|40002|\r\n", "198.51.100.7:40002"),
        (V6, "EPRT |2|2001:db8:c::7|40002|\r\n", "[2001:db8:c::7]:40002"),
    ] {
        let mut talk = Talk::new(ends);
        let data = SocketAddr::new(at(ends.rip).ip(), 20);
        assert_eq!(talk.scene.server_sends(&tcp(data, at(client), SYN)).verdict, Verdict::ToHost);
        assert_eq!(said(&talk.client((10, 100), text)), (text.to_owned(), 10, 100));
        assert_eq!(talk.data(), [row("LISTEN", client, 20, &data.to_string())]);
        let syn = talk.scene.server_sends(&tcp(data, at(client), SYN));
        assert_eq!(syn.verdict, Verdict::Send(OUTSIDE), "{text}");
        assert_eq!((syn.headers().src, syn.headers().ports().0), (at(ends.vip).ip(), 20));
        let vip = SocketAddr::new(at(ends.vip).ip(), 20);
        let answer = talk.scene.client_sends(&tcp(at(client), vip, SYN | ACK));
        assert_eq!((answer.verdict, answer.headers().dst), (Verdict::Send(INSIDE), data.ip()));
        talk.scene.server_sends(&tcp(data, at(client), ACK));
        assert_eq!(talk.data(), [row("ESTABLISHED", client, 20, &data.to_string())]);
    }
}

#[test]
fn epsv_works_in_both_families_and_names_only_a_port() {
    for (ends, given, server) in [
        (V4, "(|||51210|)", "10.0.0.11:51210"),
        (V4, "(|1|10.0.0.12|51210|)", "10.0.0.12:51210"),
        (V6, "(|||51210|)", "[2001:db8:b::11]:51210"),
    ] {
        let mut talk = Talk::new(ends);
        talk.client((10, 100), "EPSV\r\n");
        let answer = talk.server((100, 16), &format!("229 Extended {given}\r\n"));
        assert_eq!(said(&answer).0, "229 Extended (|||51210|)\r\n");
        let any_port = SocketAddr::new(at(ends.client).ip(), 0).to_string();
        assert_eq!(talk.data(), [row("LISTEN", &any_port, 51210, server)]);
    }
}

#[test]
fn an_answer_nobody_asked_for_and_one_in_parts_pass_unchanged() {
    let mut talk = Talk::new(V4);
    assert_eq!(said(&talk.server((100, 16), ANSWER)).0, ANSWER);
    talk.client((10, 100), "PA");
    talk.client((12, 100), "SV\r\n");
    assert_eq!(said(&talk.server((200, 16), ANSWER)).0, ANSWER);
    talk.client((16, 100), "PASV\r\n");
    let (one, other) = ANSWER.split_at(30);
    assert_eq!(said(&talk.server((300, 22), one)).0, one);
    assert_eq!(said(&talk.server((330, 22), other)).0, other);
    let long = "x".repeat(1400);
    assert_eq!(said(&talk.client((22, 300), &long)).0, long);
    assert!(talk.data().is_empty());
    assert_eq!(said(&talk.server((400, 22), ANSWER)).0, CHANGED, "it is still awaited");
}

#[test]
fn other_services_and_other_ways_are_not_read() {
    for (service, server, rip) in [
        ("-t 203.0.113.1:2121", "10.0.0.11:21 -m", "10.0.0.11:21"),
        ("-t 203.0.113.1:21", "10.0.0.11 -g", "203.0.113.1:21"),
    ] {
        let vip = at(service.strip_prefix("-t ").unwrap());
        let mut scene = Scene::new(&[&format!("-A {service} -s rr"), &format!("-a {service} -r {server}")]);
        let client = at(V4.client);
        scene.client_sends(&tcp(client, vip, SYN));
        scene.server_sends(&tcp(at(rip), client, SYN | ACK));
        scene.client_sends(&tcp(client, vip, ACK));
        scene.client_sends(&says(client, vip, ACK, (10, 100), "PASV\r\n"));
        scene.client_sends(&says(client, vip, ACK, (10, 100), "PORT 198,51,100,7,156,66\r\n"));
        let answer = scene.server_sends(&says(at(rip), client, ACK, (100, 16), ANSWER));
        assert!(answer.frame.ends_with(ANSWER.as_bytes()));
        assert_eq!(scene.connections().len(), 1, "{service}");
    }
}

#[test]
fn a_service_of_every_port_is_read_at_port_21() {
    let commands = ["-A -t 203.0.113.1:0 -s rr -p", "-a -t 203.0.113.1:0 -r 10.0.0.11 -m"];
    let mut talk = Talk::with(&commands, V4);
    talk.client((10, 100), "PASV\r\n");
    assert_eq!(said(&talk.server((100, 16), ANSWER)).0, CHANGED);
}

#[test]
fn the_control_connection_lives_as_long_as_its_data_connections() {
    let mut talk = Talk::new(V4);
    talk.scene.ipvsadm("--set 10 10 10");
    talk.client((10, 100), "PASV\r\n");
    talk.server((100, 16), ANSWER);
    talk.scene.pass(Duration::from_secs(10));
    assert_eq!(talk.rows().len(), 2, "it has another minute");
    assert_eq!(said(&talk.server((200, 16), "150 x\r\n")).1, 202);
    talk.scene.pass(Duration::from_secs(111));
    assert_eq!(talk.rows().len(), 1, "nobody came for the data");
    talk.scene.pass(Duration::from_mins(1));
    assert!(talk.rows().is_empty());
    assert_eq!(talk.scene.counts(11), (0, 0, 0));
}

#[test]
fn a_control_connection_that_begins_anew_knows_nothing_of_the_old_one() {
    let mut talk = Talk::new(V4);
    talk.client((10, 100), "PASV\r\n");
    talk.server((100, 16), ANSWER);
    talk.scene.client_sends(&tcp(at(V4.client), at(V4.vip), RST));
    talk.open();
    assert_eq!(said(&talk.server((200, 16), "220 x\r\n")).1, 200);
    assert_eq!(talk.data().len(), 1, "what was expected still is");
    talk.scene.pass(Duration::from_secs(2000));
    assert!(talk.rows().is_empty());
}

#[test]
fn data_connections_do_not_outgrow_the_table() {
    let mut talk = Talk::new(V4);
    let mut refused = 0;
    for port in 1..=2000u16 {
        let [high, low] = port.to_be_bytes();
        let command = format!("PORT 198,51,100,7,{high},{low}\r\n");
        refused +=
            u32::from(talk.client((10, 100), &command).verdict == Verdict::Drop(DropReason::TableFull));
    }
    assert_eq!((refused, talk.rows().len()), (2000 - 999, 1000));
    talk.scene.pass(Duration::from_secs(1000));
    talk.scene.pass(Duration::from_mins(1));
    assert!(talk.rows().is_empty());
}

#[test]
fn an_answer_in_fragments_is_changed_as_a_whole() {
    let mut talk = Talk::new(V4);
    talk.client((10, 100), "PASV\r\n");
    let frame = says(at(V4.rip), at(V4.client), ACK | PSH, (100, 16), ANSWER);
    let mut left = Vec::new();
    for part in fragmented(&frame, 40) {
        let outcome = talk.scene.server_sends(&part);
        left.extend((outcome.verdict == Verdict::Send(OUTSIDE)).then_some(outcome.frame));
        left.extend(outcome.behind.into_iter().map(|(_, frame)| frame));
    }
    let whole: Vec<u8> = left
        .iter()
        .flat_map(|frame| {
            let headers = Headers::parse(frame).unwrap();
            frame[headers.l4..headers.end].to_vec()
        })
        .collect();
    assert!(String::from_utf8_lossy(&whole).ends_with(CHANGED), "{whole:?}");
    assert_eq!(talk.data().len(), 1);
}

#[test]
fn other_connections_are_no_larger_for_it() {
    assert!(size_of::<Binding>() <= 3 * size_of::<usize>());
}

#[test]
fn a_wrong_checksum_is_not_made_right() {
    let mut talk = Talk::new(V4);
    talk.client((10, 100), "PASV\r\n");
    let mut frame = says(at(V4.rip), at(V4.client), ACK | PSH, (100, 16), ANSWER);
    *frame.last_mut().unwrap() ^= 1;
    assert_eq!(talk.scene.server_sends(&frame).verdict, Verdict::Drop(DropReason::BadL4Checksum));
}
