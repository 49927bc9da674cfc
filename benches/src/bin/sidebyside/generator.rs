//! The source of packets: frames that come in at a contender's interface as if from a network card.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::bpf::Loaded;
use crate::failure::Failure;

/// The compiled program, as `benches/bpf/build.sh` makes it.
const OBJECT: &[u8] = include_bytes!("../../../bpf/generate.bpf.o");
/// The network of the clients; 64 flows of one address.
pub(crate) const CLIENTS: &str = "198.18.0.0/15";
const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const FIRST_PORT: u16 = 1024;
/// The shortest Ethernet frame: 64 octets with its check sequence.
const FRAME: usize = 60;
const HEADER: usize = 42;
/// From a flow to the next: without a common factor with the numbers of flows that are measured.
const STEP: u32 = 618_033;

/// Where frames go, and what they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// The interface they leave by; its peer is the contender's.
    pub(crate) interface: u32,
    /// Its own hardware address.
    pub(crate) source: [u8; 6],
    /// The contender's.
    pub(crate) destination: [u8; 6],
    /// The service.
    pub(crate) service: SocketAddrV4,
}

/// Which of the flows a run of frames is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flows {
    /// The first of them.
    pub(crate) first: u32,
    /// How many there are; the frames go round.
    pub(crate) count: u32,
}

impl Flows {
    /// So many flows, from the first on.
    pub(crate) const fn of(count: u32) -> Self {
        Self { first: 0, count }
    }
}

/// The same frames, written here: for sources that are no BPF program.
#[derive(Debug)]
pub(crate) struct Frames {
    header: Vec<u8>,
    ip_sum: u32,
    udp_sum: u32,
    flows: Flows,
    next: u32,
}

impl Frames {
    /// Frames to a target, each of the next flow.
    pub(crate) fn new(target: &Target, flows: Flows) -> Self {
        let header = header(target);
        let (ip_sum, udp_sum) = sums(&header);
        Self { header, ip_sum, udp_sum, flows, next: 0 }
    }

    /// Makes `frame` the next one.
    pub(crate) fn next_into(&mut self, frame: &mut Vec<u8>) {
        let flow = self.next;
        self.next = (self.next + step(self.flows)) % self.flows.count.max(1);
        let client = (u32::from(FIRST_CLIENT) + (self.flows.first + flow) / 64).to_be_bytes();
        let port = (FIRST_PORT + u16::try_from(flow % 64).unwrap_or(0)).to_be_bytes();
        let ip = checksum(self.ip_sum + sum(&client)).to_ne_bytes();
        // RFC 768: zero would say that there is none.
        let udp = match checksum(self.udp_sum + sum(&client) + sum(&port)) {
            0 => u16::MAX,
            sum => sum,
        };
        let udp = udp.to_ne_bytes();
        frame.clear();
        frame.extend_from_slice(&self.header);
        frame.resize(FRAME, 0);
        for (at, bytes) in [(24, &ip[..]), (26, &client[..]), (34, &port[..]), (40, &udp[..])] {
            if let Some(place) = frame.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
    }
}

fn checksum(sum: u32) -> u16 {
    let once = (sum >> 16) + (sum & 0xffff);
    let twice = (once >> 16) + (once & 0xffff);
    !u16::try_from(twice).unwrap_or(u16::MAX)
}

const fn step(flows: Flows) -> u32 {
    if flows.count > 1 { STEP % flows.count } else { 0 }
}

/// The generator's program.
#[derive(Debug)]
pub(crate) struct Generator {
    program: Loaded,
}

impl Generator {
    /// Loads the program.
    pub(crate) fn load() -> Result<Self, Failure> {
        Ok(Self { program: Loaded::load(OBJECT)? })
    }

    /// Sends so many frames, each of the next flow; the nanoseconds that each took, with all that the kernel did
    /// with it on this processor. To be called in the namespace of the target's interface.
    pub(crate) fn send(&self, target: &Target, flows: Flows, frames: u32) -> Result<f64, Failure> {
        self.program.set("bench_job", &job(target, flows))?;
        self.program.run_live(&[0; FRAME], frames)
    }
}

/// `struct job` of the program.
fn job(target: &Target, flows: Flows) -> Vec<u8> {
    let header = header(target);
    let client = u32::from(FIRST_CLIENT) + flows.first / 64;
    let mut job = Vec::with_capacity(80);
    for word in [target.interface, flows.count, step(flows), 0, client, FIRST_PORT.into()] {
        job.extend(word.to_ne_bytes());
    }
    let (ip_sum, udp_sum) = sums(&header);
    job.extend(ip_sum.to_ne_bytes());
    job.extend(udp_sum.to_ne_bytes());
    job.extend(header);
    job.resize(80, 0);
    job
}

/// The sums over the IP header, and over what UDP's checksum covers.
fn sums(header: &[u8]) -> (u32, u32) {
    let (ip, rest) = header.split_at(14).1.split_at(20);
    let addresses = ip.get(12..20).unwrap_or_default();
    // Protocol and length, of UDP's pseudo-header.
    let pseudo = sum(&[0, 17]) + sum(rest.get(4..6).unwrap_or_default());
    (sum(ip), sum(addresses) + pseudo + sum(rest))
}

/// The sum of the 16-bit words as they lie in memory, which is all that one's complement asks for.
fn sum(bytes: &[u8]) -> u32 {
    bytes.as_chunks().0.iter().map(|&word| u32::from(u16::from_ne_bytes(word))).sum()
}

/// Ethernet, IPv4 and UDP headers without the client and without checksums.
fn header(target: &Target) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER);
    header.extend(target.destination);
    header.extend(target.source);
    header.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0]);
    header.extend(target.service.ip().octets());
    header.extend([0, 0]);
    header.extend(target.service.port().to_be_bytes());
    header.extend([0, 26, 0, 0]);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        let service = SocketAddrV4::new(Ipv4Addr::new(10, 77, 1, 100), 80);
        Target { interface: 7, source: [2; 6], destination: [4; 6], service }
    }

    #[test]
    fn a_job_is_laid_out_as_the_program_reads_it() {
        let job = job(&target(), Flows::of(1000));
        assert_eq!(job.len(), 80);
        let word = |at: usize| u32::from_ne_bytes(job[at..at + 4].try_into().unwrap());
        assert_eq!([word(0), word(4), word(8), word(12)], [7, 1000, 33, 0]);
        assert_eq!(word(16), u32::from(Ipv4Addr::new(198, 18, 0, 0)));
        assert_eq!(&job[32..38], [4; 6]);
        assert_eq!(job[32 + 23], 17, "UDP");
        assert_eq!(job[74..], [0; 6]);
    }

    #[test]
    fn frames_have_right_checksums() {
        let mut frames = Frames::new(&target(), Flows { first: 640, count: 1_000_000 });
        let mut frame = Vec::new();
        for _ in 0..1_000_000 {
            frames.next_into(&mut frame);
            assert_ne!(frame[40..42], [0, 0], "it has one");
            assert_eq!(frame.len(), FRAME);
            assert_eq!(checksum(sum(&frame[14..34])), 0);
            let pseudo = [&frame[26..34], &[0, 17], &frame[38..40]].concat();
            assert_eq!(checksum(sum(&pseudo) + sum(&frame[34..])), 0);
        }
        assert_eq!(frames.next, 0, "all flows have had their turn");
        frames.next_into(&mut frame);
        assert_eq!(frame[26..30], [198, 18, 0, 10]);
    }

    #[test]
    fn the_steps_go_round_all_flows() {
        for count in [1_000_u32, 100_000, 1_000_000] {
            let (mut a, mut b) = (STEP % count, count);
            while b != 0 {
                (a, b) = (b, a % b);
            }
            assert_eq!(a, 1, "{count}");
        }
    }
}
