//! What a predecessor left: its program goes on forwarding the flows it knows, and its maps can be taken over.
//!
//! Attached by netlink, the program stays when its process ends, and keeps its maps. They are found by the program
//! that an interface has; that takes `CAP_SYS_ADMIN`.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject};

use super::attach::{self, Mode};
use super::flows::{Flows, is_current};

/// The maps that outlive a director: the flows, with all they refer to.
const LASTING: [&str; 8] = [
    "lvsd_flow4",
    "lvsd_flow6",
    "lvsd_server",
    "lvsd_path",
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
    /// What the program named `name` on these interfaces left, if it is the same on all and its maps are of this
    /// version; nothing where it cannot be had.
    pub(super) fn find(interfaces: &[String], name: &str) -> Option<Self> {
        let mut ids = interfaces.iter().map(|interface| program_on(interface, name));
        let first = ids.next().flatten()?;
        if ids.any(|id| id != Some(first)) {
            return None;
        }
        let options = ProgInfoQueryOptions::default().include_map_ids(true);
        let info = ProgInfoIter::with_query_opts(options).find(|info| info.id == first)?;
        let mut maps = BTreeMap::new();
        for id in info.map_ids {
            let map = MapHandle::from_map_id(id).ok()?;
            let name = map.name().to_string_lossy().into_owned();
            if LASTING.contains(&name.as_str()) {
                maps.insert(name, map);
            }
        }
        let is_whole =
            maps.len() == LASTING.len() && Flows::fit(&maps) && is_current(maps.get("lvsd_cache")?);
        if !is_whole {
            tracing::warn!("the flows that a predecessor left are of another version; they end");
            return None;
        }
        let devices = maps.get("lvsd_device").map(devices)?;
        Some(Self { maps, devices })
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
