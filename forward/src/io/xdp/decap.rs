//! The XDP program `lvsd_decap`: the receiving end of tunnels on a real server whose kernel has no ipip device.
//!
//! It takes IP in IP (either family in either), GRE and GUE, cuts the outer headers off packets for a VIP and lets
//! the host receive what was inside. It works alone: attached once, it stays until it is detached or the machine
//! restarts, whether or not a process of ours runs. To change its configuration, attach again.
//!
//! A UDP checksum of the outer header is not verified, and outer fragments are not put together.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;

use libbpf_rs::query::ProgInfoIter;
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::attach::{self, Mode, Occupant};
use super::claim_maps::{address_key, update};
use super::error::ProgramError;
use super::program::{map, program};

/// The compiled program, as `forward/bpf/build.sh` makes it.
const OBJECT: &[u8] = include_bytes!("../../../bpf/lvsd_decap.bpf.o");

/// The program's name, as `bpftool prog` shows it.
pub const NAME: &str = "lvsd_decap";

const PRESENT: [u8; 4] = 1_u32.to_ne_bytes();

/// What the program unwraps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decap {
    /// The host's addresses at which tunnels end: the outer destinations.
    pub outer: BTreeSet<IpAddr>,
    /// The VIPs: the inner destinations.
    pub vips: BTreeSet<IpAddr>,
    /// The UDP port of GUE; `None` when GUE is not used.
    pub gue_port: Option<u16>,
}

/// Attaches the program to an interface, in place of an earlier one of its own. Returns where it runs.
///
/// # Errors
/// [`ProgramError::Occupied`] when another XDP program is there, the director's among them.
pub fn attach(interface: &str, decap: &Decap, wish: Option<Mode>) -> Result<Mode, ProgramError> {
    let object = attach::load(OBJECT, NAME)?;
    let (outer, inner, gue) =
        (map(&object, "lvsd_outer")?, map(&object, "lvsd_inner")?, map(&object, "lvsd_gue")?);
    for &address in &decap.outer {
        update(&outer, &address_key(address), &PRESENT)?;
    }
    for &address in &decap.vips {
        update(&inner, &address_key(address), &PRESENT)?;
    }
    update(&gue, &0_u32.to_ne_bytes(), &u32::from(decap.gue_port.unwrap_or(0)).to_ne_bytes())?;
    attach::attach(program(&object, NAME)?.as_fd(), NAME, interface, wish)
}

/// Takes the program off an interface; false when it was not there.
///
/// # Errors
/// [`ProgramError::Interface`] when there is no such interface.
pub fn detach(interface: &str) -> Result<bool, ProgramError> {
    let object = attach::load(OBJECT, NAME)?;
    attach::detach(program(&object, NAME)?.as_fd(), NAME, interface)
}

/// The program's configuration on an interface; `None` when it is not attached there.
///
/// # Errors
/// [`ProgramError::Interface`] when there is no such interface.
pub fn attached(interface: &str) -> Result<Option<Decap>, ProgramError> {
    let Some(Occupant { id, .. }) = find(interface)? else { return Ok(None) };
    let mut decap = Decap::default();
    for map in maps_of(id)? {
        match map.name().to_str() {
            Some("lvsd_outer") => decap.outer = addresses(&map),
            Some("lvsd_inner") => decap.vips = addresses(&map),
            Some("lvsd_gue") => decap.gue_port = port(&map)?,
            Some(_) | None => {}
        }
    }
    Ok(Some(decap))
}

/// How many packets the program on an interface has unwrapped; `None` when it is not attached there.
///
/// # Errors
/// As [`attached`].
pub fn unwrapped(interface: &str) -> Result<Option<u64>, ProgramError> {
    let Some(Occupant { id, .. }) = find(interface)? else { return Ok(None) };
    let Some(counter) = maps_of(id)?.into_iter().find(|map| map.name() == "lvsd_decaps") else {
        return Ok(None);
    };
    let per_cpu = counter
        .lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY)
        .map_err(|source| ProgramError::map(&counter, source))?
        .unwrap_or_default();
    let values =
        per_cpu.iter().filter_map(|value| value.first_chunk()).map(|&value| u64::from_ne_bytes(value));
    Ok(Some(values.sum()))
}

fn find(interface: &str) -> Result<Option<Occupant>, ProgramError> {
    let index = attach::index(interface)?;
    let found = attach::occupant(interface, index)?;
    Ok(found.filter(|occupant| occupant.name == NAME))
}

fn maps_of(program: u32) -> Result<Vec<MapHandle>, ProgramError> {
    let options = libbpf_rs::query::ProgInfoQueryOptions::default().include_map_ids(true);
    let info = ProgInfoIter::with_query_opts(options).find(|info| info.id == program);
    let ids = info.map(|info| info.map_ids).unwrap_or_default();
    ids.into_iter()
        .map(|id| {
            MapHandle::from_map_id(id).map_err(|source| ProgramError::Map { map: id.to_string(), source })
        })
        .collect()
}

fn addresses(map: &MapHandle) -> BTreeSet<IpAddr> {
    let keys = map.keys().filter_map(|key| <[u8; 16]>::try_from(key).ok());
    keys.map(|key| IpAddr::V6(Ipv6Addr::from(key)).to_canonical()).collect()
}

fn port(map: &MapHandle) -> Result<Option<u16>, ProgramError> {
    let value = map
        .lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)
        .map_err(|source| ProgramError::map(map, source))?
        .and_then(|value| value.first_chunk().copied())
        .map_or(0, u32::from_ne_bytes);
    Ok(u16::try_from(value).ok().filter(|&port| port != 0))
}
