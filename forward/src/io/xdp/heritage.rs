//! What a predecessor left: its program goes on forwarding the flows it knows, and its maps can be taken over.
//!
//! Attached by netlink, the program stays when its process ends, and keeps its maps. They are found by their names
//! ([`Pins`]), or by the program that an interface has; that takes `CAP_SYS_ADMIN`.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject};

use super::attach::{self, Mode};
use super::error::ProgramError;
use super::flows::{Flows, VERSION, epoch_and_version};
use super::pins::Pins;

/// The maps that outlive a director: the flows, with all they refer to.
pub(super) const LASTING: [&str; 9] = [
    "lvsd_flow4",
    "lvsd_flow6",
    "lvsd_server",
    "lvsd_path",
    "lvsd_source",
    "lvsd_tally",
    "lvsd_device",
    "lvsd_cache",
    "lvsd_cached",
];
/// `max_entries` of `lvsd_device`.
const DEVICES: u32 = 64;

/// A predecessor's maps.
#[derive(Debug)]
pub(super) struct Heritage {
    maps: BTreeMap<String, MapHandle>,
    /// The places that interfaces have, by their numbers.
    pub(super) devices: BTreeMap<u32, u32>,
}

impl Heritage {
    /// What a predecessor left: under names, or where there are none what the program named `name` on these
    /// interfaces has, if it is the same on all. Nothing where no flows were forwarded.
    ///
    /// # Errors
    /// [`ProgramError::OtherVersion`]
    pub(super) fn find(
        interfaces: &[String],
        name: &str,
        pins: Option<&Pins>,
    ) -> Result<Option<Self>, ProgramError> {
        let pinned = match pins {
            Some(pins) => Self::pinned(interfaces, name, pins)?,
            None => None,
        };
        let maps = match pinned {
            Some(maps) => maps,
            None => match attached(interfaces, name) {
                Some(maps) => maps,
                None => return Ok(None),
            },
        };
        let Some(cache) = maps.get("lvsd_cache") else { return Ok(None) };
        let (epoch, found) = epoch_and_version(cache);
        if epoch == 0 {
            return Ok(None);
        }
        if found != VERSION || maps.len() != LASTING.len() || !Flows::fit(&maps) {
            return Err(ProgramError::OtherVersion { found, ours: VERSION });
        }
        let devices = maps.get("lvsd_device").map(devices).unwrap_or_default();
        Ok(Some(Self { maps, devices }))
    }

    /// The maps that have names, unless they are of other interfaces.
    fn pinned(
        interfaces: &[String],
        name: &str,
        pins: &Pins,
    ) -> Result<Option<BTreeMap<String, MapHandle>>, ProgramError> {
        let Some((found, _sizes)) = pins.mark() else { return Ok(None) };
        let program = pins.program();
        let is_attached = interfaces.iter().any(|interface| {
            let id = program_on(interface, name);
            id.is_some() && id == program
        });
        let maps: BTreeMap<String, MapHandle> =
            LASTING.iter().filter_map(|&name| Some((name.to_owned(), pins.map(name)?))).collect();
        let places = maps.get("lvsd_device").map(devices).unwrap_or_default();
        let index = |interface: &String| u32::try_from(attach::index(interface).ok()?).ok();
        let is_known = interfaces.iter().filter_map(index).any(|index| places.contains_key(&index));
        if !is_attached && !is_known {
            return Ok(None);
        }
        if found != VERSION {
            return Err(ProgramError::OtherVersion { found, ours: VERSION });
        }
        Ok(Some(maps))
    }

    /// Has the object use the maps instead of its own.
    pub(super) fn put_into(&self, object: &mut OpenObject) -> libbpf_rs::Result<()> {
        for mut map in object.maps_mut() {
            if let Some(old) = self.maps.get(map.name().to_string_lossy().as_ref()) {
                map.reuse_fd(old.as_fd())?;
            }
        }
        Ok(())
    }
}

/// The maps of the programs named `name` on these interfaces, if they have the same. A director that ended while it
/// began has left its own program on some interfaces and its predecessor's on others.
fn attached(interfaces: &[String], name: &str) -> Option<BTreeMap<String, MapHandle>> {
    let mut ids: Vec<u32> = interfaces.iter().filter_map(|interface| program_on(interface, name)).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut all = ids.into_iter().filter_map(maps_of);
    let first = all.next()?;
    let number =
        |maps: &BTreeMap<String, MapHandle>| maps.get("lvsd_cache")?.info().ok().map(|info| info.info.id);
    let is_same = |other| number(&other).is_some_and(|id| Some(id) == number(&first));
    all.all(is_same).then_some(first)
}

/// The maps of a program that outlive it.
fn maps_of(program: u32) -> Option<BTreeMap<String, MapHandle>> {
    let options = ProgInfoQueryOptions::default().include_map_ids(true);
    let info = ProgInfoIter::with_query_opts(options).find(|info| info.id == program)?;
    let mut maps = BTreeMap::new();
    for id in info.map_ids {
        let map = MapHandle::from_map_id(id).ok()?;
        let name = map.name().to_string_lossy().into_owned();
        if LASTING.contains(&name.as_str()) {
            maps.insert(name, map);
        }
    }
    Some(maps)
}

/// The number of the program with that name on an interface, if it runs in the driver.
fn program_on(interface: &str, name: &str) -> Option<u32> {
    let index = attach::index(interface).ok()?;
    let occupant = attach::occupant(interface, index).ok()??;
    (occupant.name == name && occupant.mode == Mode::Native).then_some(occupant.id)
}

/// The interfaces' places, by their numbers.
fn devices(map: &MapHandle) -> BTreeMap<u32, u32> {
    let at = |place: u32| {
        let value = map.lookup(&place.to_ne_bytes(), MapFlags::ANY).ok()??;
        Some((u32::from_ne_bytes(*value.first_chunk()?), place))
    };
    (0..DEVICES).filter_map(at).collect()
}
