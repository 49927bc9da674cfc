//! What a machine is told of its instance.

use std::time::Duration;

use crate::declared::{Announcing, InitialState, Instance, Preemption, Version};

/// What the state machine of a virtual router goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The protocol's version.
    pub version: Version,
    /// 1 to 254, or 255 for the addresses' owner.
    pub priority: u8,
    /// From one of our adverts to the next.
    pub interval: Duration,
    /// Intervals of silence after which the master is thought dead.
    pub down_timer_adverts: u8,
    /// Whether it takes over from a master of lower priority.
    pub preemption: Preemption,
    /// How the addresses are announced.
    pub announcing: Announcing,
    /// Does not answer adverts of lower priority.
    pub lower_priority_no_advert: bool,
    /// Answers an advert of higher priority before it yields.
    pub higher_priority_send_advert: bool,
    /// Becomes master only with its sync group.
    pub awaits_group: bool,
}

impl Rules {
    /// The rules of an instance that is, or is not, in a sync group.
    pub fn new(instance: &Instance, awaits_group: bool) -> Self {
        // As keepalived has it: who starts as master takes over at once.
        let preemption = match instance.initial {
            InitialState::Master => Preemption::default(),
            InitialState::Backup => instance.preemption,
        };
        Self {
            version: instance.version(),
            priority: instance.priority,
            interval: instance.advert_interval,
            down_timer_adverts: instance.down_timer_adverts,
            preemption,
            announcing: instance.announcing,
            lower_priority_no_advert: instance.lower_priority_no_advert,
            higher_priority_send_advert: instance.higher_priority_send_advert,
            awaits_group,
        }
    }
}
