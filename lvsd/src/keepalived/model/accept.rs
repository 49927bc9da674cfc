//! `accept` and `no_accept`: whether a master takes what is sent to its addresses.

use lvs_vrrp::declared::{Instance, Version};

use super::super::source::{Found, Place};
use super::Model;

impl Model<'_> {
    /// What is written; else a strict instance accepts as the addresses' owner alone.
    pub(super) fn accepts(&mut self, instance: &Instance, written: Option<(bool, Place)>) -> bool {
        let by_default = !instance.is_strict || instance.priority == 255;
        match written {
            Some((true, place)) if !by_default && instance.version() == Version::V2 => {
                let found =
                    Found::new(place, "`accept` in a strict instance of version 2", "has no effect then");
                self.findings.warn(found.help("there is no accept mode in version 2: write `version 3`"));
                false
            }
            Some((false, place)) if instance.priority == 255 => {
                let found = Found::new(place, "`no_accept` with `priority 255`", "has no effect then");
                self.findings.warn(found.help("the addresses' owner takes what is sent to them: remove it"));
                true
            }
            Some((accepts, _)) => accepts,
            None => by_default,
        }
    }
}
