//! The end of the packets: an XDP program that counts those that came as they should, and drops all.

use std::net::Ipv4Addr;

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle};

use crate::bpf::Loaded;
use crate::failure::Failure;

/// The compiled program, as `benches/bpf/build.sh` makes it.
const OBJECT: &[u8] = include_bytes!("../../../bpf/sink.bpf.o");

/// A sink at an interface, until it is dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    _link: Link,
    program: Loaded,
    counts: MapHandle,
}

impl Sink {
    /// Puts a sink on an interface of the calling thread's namespace.
    pub(crate) fn attach(interface: &str) -> Result<Self, Failure> {
        let program = Loaded::load(OBJECT)?;
        let counts = program.map("bench_count")?;
        Ok(Self { _link: program.attach(interface)?, program, counts })
    }

    /// Expects packets to a network from now on.
    pub(crate) fn expect(&self, network: Ipv4Addr, prefix: u32) -> Result<(), Failure> {
        let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0).to_be_bytes();
        self.program.set("bench_expected", &[network.octets(), mask].concat())
    }

    /// How many came as expected so far.
    pub(crate) fn good(&self) -> Result<u64, Failure> {
        self.count(0)
    }

    /// How many IPv4 packets came that were not expected.
    pub(crate) fn elsewhere(&self) -> Result<u64, Failure> {
        self.count(1)
    }

    fn count(&self, place: u32) -> Result<u64, Failure> {
        let values = self
            .counts
            .lookup_percpu(&place.to_ne_bytes(), MapFlags::ANY)
            .map_err(Failure::bpf("cannot read the sink's counters"))?;
        let values = values.unwrap_or_default();
        Ok(values
            .iter()
            .filter_map(|value| value.first_chunk())
            .map(|&value| u64::from_ne_bytes(value))
            .sum())
    }
}
