//! What a program leaves to its successor, and what the successor makes of it.

use std::path::{Path, PathBuf};

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use lvs_conntrack::{FlowKey, Proto};
use lvs_forward::io::xdp::{Families, Flow, FlowRewrite, Inserted, Pins, Program, ProgramError, take_off};

use crate::net::Lab;

/// A file system of the test's own; goes with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("lvst-{}-{name}", std::process::id())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pins) = Pins::find(&self.0) {
            let _ = pins.remove();
        }
    }
}

/// `CACHE_VERSION` of `flow.h`.
const VERSION: u32 = 4;

fn interfaces() -> Vec<String> {
    ["d0", "d1"].map(str::to_owned).to_vec()
}

fn key() -> FlowKey {
    let address = |host| [10, 1, 0, host].into();
    FlowKey { proto: Proto::TCP, src: address(10), src_port: 1, dst: address(100), dst_port: 80 }
}

/// A director's program that forwards a flow, and ends without a word.
fn predecessor(lab: &Lab, pins: Option<&Pins>) {
    lab.director.enter(|| {
        let program = Program::load_with_flows(Families::both(100)).unwrap();
        for leg in interfaces() {
            program.attach(&leg, None).unwrap();
        }
        let flow = Flow {
            rewrite: FlowRewrite::Source { address: key().dst, path: 7 },
            port: 80,
            epoch: 3,
            server: 1,
            seen: 0,
            packets: 7,
            is_closed: false,
        };
        program.flows().set_epoch(3, 0).unwrap();
        assert_eq!(program.flows().insert(&key(), &flow), Inserted::New);
        if let Some(pins) = pins {
            program.pin(pins).unwrap();
        }
    });
}

fn take_over(lab: &Lab, pins: Option<&Pins>) -> Result<Program, ProgramError> {
    lab.director.enter(|| Program::take_over(&interfaces(), Families::both(5000), pins))
}

fn packets(program: &Program) -> Option<u32> {
    let flow = program.flows().get(&key())?;
    assert_eq!(flow.rewrite, FlowRewrite::Source { address: key().dst, path: 7 });
    Some(flow.packets)
}

fn change(directory: &Path, name: &str, at: usize, version: u32) {
    let map = MapHandle::from_pinned_path(directory.join(name)).unwrap();
    let mut value = map.lookup(&[0; 4], MapFlags::ANY).unwrap().unwrap();
    value[at..at + 4].copy_from_slice(&version.to_ne_bytes());
    map.update(&[0; 4], &value, MapFlags::ANY).unwrap();
}

#[test]
#[ignore = "needs root"]
fn flows_are_found_by_their_names_and_by_the_program_that_has_them() {
    let place = Place::new("names");
    for by_name in [true, false] {
        let lab = Lab::new();
        let pins = by_name.then(|| Pins::mount(&place.0).unwrap());
        predecessor(&lab, pins.as_ref());
        if by_name {
            // Names find them even where the program is attached no more.
            lab.director.enter(|| interfaces().iter().for_each(|leg| assert!(take_off(leg).unwrap())));
        }
        let program = take_over(&lab, pins.as_ref()).unwrap();
        assert!(program.has_taken_over());
        assert_eq!((packets(&program), program.flows().len()), (Some(7), 1));
        assert_eq!(program.flows().size(), Families::both(100), "the tables are the predecessor's");
        assert!(by_name == lab.director.enter(|| !take_off("d0").unwrap()));
        if let Some(pins) = pins {
            // Another one on top of it, whose names are in place of those.
            lab.director.enter(|| program.pin(&pins).unwrap());
            drop(program);
            assert_eq!(packets(&take_over(&lab, Some(&pins)).unwrap()), Some(7));
            pins.remove().unwrap();
            assert!(!place.0.exists());
        }
    }
}

#[test]
#[ignore = "needs root"]
fn names_of_other_interfaces_are_not_taken() {
    let (place, lab) = (Place::new("others"), Lab::new());
    let pins = Pins::mount(&place.0).unwrap();
    predecessor(&lab, Some(&pins));
    lab.director.enter(|| {
        let others = ["lo".to_owned()];
        assert!(!Program::take_over(&others, Families::both(10), Some(&pins)).unwrap().has_taken_over());
    });
    assert!(take_over(&lab, Some(&pins)).unwrap().has_taken_over());
}

#[test]
#[ignore = "needs root"]
fn flows_of_another_layout_are_refused_and_go_on() {
    for (by_name, name, at) in [(true, "mark", 4), (true, "lvsd_cache", 8), (false, "lvsd_cache", 8)] {
        let (place, lab) = (Place::new("layout"), Lab::new());
        let pins = Pins::mount(&place.0).unwrap();
        predecessor(&lab, Some(&pins));
        change(&place.0, name, at, 99);
        let refused = take_over(&lab, Some(&pins).filter(|_| by_name)).unwrap_err();
        assert!(matches!(refused, ProgramError::OtherVersion { found: 99, .. }), "{refused}");
        assert!(refused.to_string().contains("lvsd clean"), "{refused}");
        // Nothing was changed: read as what it is, it is all there.
        change(&place.0, name, at, VERSION);
        assert_eq!(packets(&take_over(&lab, Some(&pins)).unwrap()), Some(7));
        lab.director.enter(|| interfaces().iter().for_each(|leg| assert!(take_off(leg).unwrap())));
    }
}

#[test]
#[ignore = "needs root"]
fn a_successor_that_ended_while_it_began_is_succeeded_as_well() {
    let lab = Lab::new();
    predecessor(&lab, None);
    lab.director.enter(|| {
        let second = Program::take_over(&interfaces(), Families::both(100), None).unwrap();
        // It came to one of the interfaces.
        second.attach("d0", None).unwrap();
    });
    assert_eq!(packets(&take_over(&lab, None).unwrap()), Some(7));
    // Programs that share no flows are not of one director.
    lab.director.enter(|| {
        let stranger = Program::load_with_flows(Families::both(10)).unwrap();
        stranger.flows().set_epoch(1, 0).unwrap();
        stranger.attach("d1", None).unwrap();
    });
    assert!(!take_over(&lab, None).unwrap().has_taken_over());
}
