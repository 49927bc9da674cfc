//! A bare XDP program: rewrites a constant and redirects. Faster than it no cache in XDP can be.

use libbpf_rs::{Link, MapCore, MapFlags};

use crate::bpf::Loaded;
use crate::failure::Failure;
use crate::world::{Place, SERVER_PORT, SERVERS, World, server};

/// The compiled program, as `benches/bpf/build.sh` makes it.
const OBJECT: &[u8] = include_bytes!("../../../../bpf/rewrite.bpf.o");

/// The program in a place of its own.
#[derive(Debug)]
pub(crate) struct Redirect {
    _links: [Link; 1],
    _program: Loaded,
    /// Where it is.
    pub(crate) place: Place,
}

impl Redirect {
    /// Sets it up.
    pub(crate) fn start(world: &World, number: u8) -> Result<Self, Failure> {
        let mut place = world.place("redirect", number)?;
        let program = Loaded::load(OBJECT)?;
        program.set("bench_rewrite", &rewrite(&place))?;
        // The sink first: a veth whose peer has no program takes no redirected frames.
        world.sink(&mut place, SERVERS, 24)?;
        let link = place.host().inside(|| {
            let out = nix::net::if_::if_nametoindex("eth1")
                .map_err(|errno| Failure::system("eth1")(errno.into()))?;
            program
                .map("bench_device")?
                .update(&0_u32.to_ne_bytes(), &out.to_ne_bytes(), MapFlags::ANY)
                .map_err(Failure::bpf("cannot write into a map"))?;
            program.attach("eth0")
        })??;
        Ok(Self { _links: [link], _program: program, place })
    }
}

/// `struct rewrite` of the program.
fn rewrite(place: &Place) -> Vec<u8> {
    let mut value = server(1).octets().to_vec();
    value.extend(SERVER_PORT.to_be_bytes());
    value.extend(place.mac(4));
    value.extend(place.mac(3));
    value.extend([0, 0]);
    value
}
