//! The short way and the long one: the same packets go through two directors, one of which knows no short way.

use std::time::Duration;

use super::frames::{ACK, FIN, RST, SYN, tcp, udp, with_df, with_ttl};
use super::scene::{INSIDE, OUTSIDE, Scene, at};

const SERVERS: u64 = 3;
const CLIENTS: u64 = 6;
const STEPS: usize = 6000;

/// A generator whose numbers a seed makes the same again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

/// Services of both families and protocols, FTP among them, each server reached as `method` says.
fn scene(method: &str) -> Scene {
    let mut commands = Vec::new();
    for (kind, port) in [("-t", 80), ("-t", 21), ("-u", 53)] {
        for (vip, rip, end) in [("203.0.113.1", "10.0.0.1", ""), ("[2001:db8::1]", "[2001:db8:b::1", "]")] {
            commands.push(format!("-A {kind} {vip}:{port} -s rr"));
            for server in 1..=SERVERS {
                commands.push(format!("-a {kind} {vip}:{port} -r {rip}{server}{end}:{port} {method}"));
            }
        }
    }
    Scene::new(&commands.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A packet that is in some way to the point, most often one of a connection that there may be; whether a server
/// sends it.
fn packet(dice: &mut Dice) -> (bool, Vec<u8>) {
    let is_v4 = dice.below(2) == 0;
    let (vip, rip, end, cip) = if is_v4 {
        ("203.0.113.1", "10.0.0.1", "", "198.51.100.7")
    } else {
        ("[2001:db8::1]", "[2001:db8:b::1", "]", "[2001:db8:c::7]")
    };
    let client = at(&format!("{cip}:{}", 4000 + dice.below(CLIENTS)));
    let port = dice.of(&[80, 80, 21, 53, 53]);
    let is_reply = dice.below(3) == 0;
    let (from, to) = if is_reply {
        (at(&format!("{rip}{}{end}:{port}", 1 + dice.below(SERVERS))), client)
    } else {
        (client, at(&format!("{vip}:{port}")))
    };
    let mut frame = if port == 53 {
        udp(from, to, &vec![7; dice.of(&[0, 1, 40, 1400, 1452, 1473, 1600])])
    } else {
        tcp(from, to, dice.of(&[SYN, SYN, SYN | ACK, ACK, ACK, ACK, FIN, RST, 0]))
    };
    let transport = if is_v4 { 34 } else { 54 };
    let checksum = transport + if port == 53 { 6 } else { 16 };
    match dice.below(12) {
        0 if is_v4 => frame = with_ttl(frame, 1),
        1 if is_v4 => frame = with_df(frame),
        3 => frame[checksum..checksum + 2].fill(0),
        // Ethernet's padding.
        4 => frame.extend([0; 9]),
        _ => {}
    }
    (is_reply, frame)
}

#[test]
fn what_goes_the_short_way_is_what_would_have_gone_the_long_one() {
    for (number, method) in ["-m", "-g", "-i", "-i --tun-type gre"].into_iter().enumerate() {
        let (mut short, mut long) = (scene(method), scene(method));
        let mut dice = Dice(number as u64);
        let mut rewritten = 0;
        for step in 0..STEPS {
            let (is_reply, frame) = packet(&mut dice);
            let port = if is_reply { INSIDE } else { OUTSIDE };
            let (here, there) = (short.receive(port, &frame), long.receive_at_length(port, &frame));
            assert_eq!(format!("{here:?}"), format!("{there:?}"), "{method}, step {step}: {frame:02x?}");
            rewritten += usize::from(here.frame != frame);
            if dice.below(40) == 0 {
                let time = Duration::from_secs(dice.below(40));
                short.pass(time);
                long.pass(time);
            }
            if step % 50 == 0 {
                assert_eq!(short.connections(), long.connections(), "{method}, step {step}");
                assert_eq!(short.servers(), long.servers(), "{method}, step {step}");
            }
            if step == STEPS / 2 {
                for scene in [&mut short, &mut long] {
                    scene.ipvsadm("-d -t 203.0.113.1:80 -r 10.0.0.12:80");
                    scene.set("expire_nodest_conn", "1");
                }
            }
        }
        assert!(rewritten > STEPS / 10, "{method}: only {rewritten} were rewritten");
    }
}
