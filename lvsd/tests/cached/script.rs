//! Timelines that chance writes: connections of every way of forwarding, their packets in any order, and an
//! administrator who does not keep still.

use std::fmt::Write as _;

use lvs_conntrack::Proto;
use lvs_forward::checksum;

/// Numbers that look like chance, the same each time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

type End = ([u8; 4], u16);

const VIP: [u8; 4] = [10, 9, 9, 9];
/// The ports of the services, and the option of each one's server.
const SERVICES: [(u16, u8, &str); 4] = [(80, 11, "-m"), (81, 12, "-g"), (82, 13, "-i"), (83, 14, "-m")];

/// A frame in hexadecimal; the checksum is now and then left to the device.
fn frame(dice: &mut Dice, is_tcp: bool, flags: u8, from: End, to: End) -> String {
    let payload = usize::try_from([0, 5, 100, 1400][usize::try_from(dice.throw(4)).unwrap()]).unwrap();
    let mut l4 = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    if is_tcp {
        l4.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    } else {
        l4.extend(u16::try_from(8 + payload).unwrap().to_be_bytes());
        l4.extend([0, 0]);
    }
    l4.resize(l4.len() + payload, 0x5a);
    let proto = if is_tcp { Proto::TCP } else { Proto::UDP };
    let pseudo = checksum::pseudo_header(from.0.into(), to.0.into(), proto, l4.len());
    let sum = if dice.throw(4) == 0 { pseudo.fold() } else { pseudo.bytes(&l4).checksum() };
    let at = if is_tcp { 16 } else { 6 };
    l4[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    let ttl = if dice.throw(20) == 0 { 1 } else { 64 };
    let mut ip = vec![0x45, 0];
    ip.extend(u16::try_from(20 + l4.len()).unwrap().to_be_bytes());
    ip.extend([0, 7, 0x40, 0, ttl, proto.0, 0, 0]);
    ip.extend(from.0);
    ip.extend(to.0);
    let sum = checksum::Sum::ZERO.bytes(&ip).checksum();
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    // To the director's interface toward the servers where it comes from one.
    let (network, host) = if to.0 == VIP { (1, 2) } else { (2, 1) };
    let ethernet = [2, 0, 0, 0, network, host, 2, 0, 0, 0, 1, 1, 8, 0];
    ethernet.iter().chain(&ip).chain(&l4).fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// A timeline of so many steps.
pub(crate) fn write(seed: u64, steps: u32) -> String {
    let mut dice = Dice(seed);
    let mut text = "{\"op\": \"case\", \"name\": \"chance\", \"vips\": [\"10.9.9.9\"], \"sysctl\": {}, \"marks\": [], \"mtu\": {}, \"local\": []}\n".to_owned();
    let mut now = 0.0;
    let adm = |now: f64, op: &str, args: &str, text: &mut String| {
        let _ = writeln!(
            text,
            "{{\"t\": {now:.3}, \"op\": \"{op}\", \"args\": \"{args}\", \"rc\": 0, \"text\": \"\"}}"
        );
    };
    for (port, server, option) in SERVICES {
        for protocol in ["-t", "-u"] {
            adm(now, "ipvsadm", &format!("-A {protocol} 10.9.9.9:{port} -s rr"), &mut text);
            let server = format!("-a {protocol} 10.9.9.9:{port} -r 10.2.0.{server}:{port} {option}");
            adm(now, "ipvsadm", &server, &mut text);
        }
    }
    for step in 0..steps {
        now += match dice.throw(200) {
            0 => 350.0,
            1 => 70.0,
            _ => 0.05,
        };
        let service = SERVICES[usize::try_from(dice.throw(4)).unwrap()];
        let (port, server, option) = service;
        let protocol = ["-t", "-u"][usize::try_from(dice.throw(2)).unwrap()];
        let id = format!("{protocol} 10.9.9.9:{port}");
        let real = format!("-r 10.2.0.{server}:{port}");
        match dice.throw(60) {
            0 => adm(now, "list", "-Ln --stats --exact", &mut text),
            1 => adm(now, "list", "-Lnc", &mut text),
            2 => adm(now, "list", "-Ln", &mut text),
            3 => adm(now, "ipvsadm", &format!("-e {id} {real} {option} -w {}", dice.throw(3)), &mut text),
            4 if dice.throw(3) == 0 => adm(now, "ipvsadm", &format!("-d {id} {real}"), &mut text),
            5 => adm(now, "ipvsadm", &format!("-a {id} {real} {option}"), &mut text),
            6 if dice.throw(4) == 0 => {
                let seconds = [60, 300, 900][usize::try_from(dice.throw(3)).unwrap()];
                adm(now, "ipvsadm", &format!("--set {seconds} 120 {seconds}"), &mut text);
            }
            7 if dice.throw(4) == 0 => {
                let value = dice.throw(2);
                let _ = writeln!(
                    text,
                    "{{\"t\": {now:.3}, \"op\": \"sysctl\", \"set\": \"expire_nodest_conn={value}\"}}"
                );
            }
            8 if dice.throw(6) == 0 => adm(now, "ipvsadm", "-Z", &mut text),
            _ => {
                let is_tcp = dice.throw(2) == 0;
                let client = ([198, 51, 100, 7], 4000 + u16::try_from(dice.throw(6)).unwrap());
                let is_reply = option == "-m" && dice.throw(2) == 0;
                // Mostly plain segments, so that connections last.
                let flags = match dice.throw(24) {
                    0 => 0x11,
                    1 => 0x14,
                    2..6 => 0x02 | if is_reply { 0x10 } else { 0 },
                    _ => 0x10,
                };
                let (from, to, interface) = if is_reply {
                    (([10, 2, 0, server], port), client, "dr")
                } else {
                    (client, (VIP, port), "dc")
                };
                let frame = frame(&mut dice, is_tcp, flags, from, to);
                let _ = writeln!(
                    text,
                    "{{\"t\": {now:.3}, \"op\": \"in\", \"n\": {step}, \"if\": \"{interface}\", \"frame\": \"{frame}\"}}"
                );
            }
        }
    }
    adm(now + 1.0, "list", "-Ln --stats --exact", &mut text);
    adm(now + 1.0, "list", "-Lnc", &mut text);
    text
}
