//! Sync groups: all together, or none.

use std::time::Duration;

use super::*;
use crate::declared::{Instance, Version};

fn advert(priority: u8) -> Advert {
    let interval = Duration::from_secs(1);
    Advert { version: Version::V2, router_id: 1, priority, interval, addresses: Vec::new() }
}

fn at(millis: u64) -> Tick {
    Tick::at(Duration::from_millis(millis))
}

/// Two virtual routers in a group, and one by itself.
fn group() -> Router {
    let mut router = Router::new();
    let own = IpAddr::from([10, 0, 0, 5]);
    for place in 0..3 {
        let rules = Rules::new(&Instance::new("v", "eth0", 1), place < 2);
        let member = router.add(rules, own, Tick::ZERO);
        router.set_usable(member, true, Tick::ZERO);
    }
    router.bind(vec![Member(0), Member(1)]);
    router.start(Tick::ZERO);
    router
}

fn roles(router: &Router) -> Vec<Role> {
    router.members().map(|member| router.machine(member).unwrap().role()).collect()
}

#[test]
fn a_group_becomes_master_once_all_of_it_are_ready() {
    use Role::{Backup, Master};
    let mut router = group();
    let other = IpAddr::from([10, 0, 0, 9]);
    router.on_advert(Member(1), &advert(200), other, at(2000));
    router.on_deadline(at(4000));
    assert_eq!(roles(&router), [Backup, Backup, Master], "one still hears a master");
    router.on_deadline(at(7000));
    assert_eq!(roles(&router), [Master, Master, Master]);
    router.on_advert(Member(0), &advert(200), other, at(7100));
    assert_eq!(roles(&router), [Backup, Backup, Master], "one yields, and the other with it");
    assert_eq!(router.role_of_group(0), Some(Backup));
}

#[test]
fn one_that_fails_takes_its_group_down_and_nobody_else() {
    use Role::{Backup, Fault, Master};
    let mut router = group();
    router.on_deadline(at(4000));
    assert_eq!(roles(&router), [Master, Master, Master]);
    router.set_usable(Member(1), false, at(5000));
    assert_eq!(roles(&router), [Fault, Fault, Master]);
    router.set_usable(Member(1), true, at(6000));
    assert_eq!(roles(&router), [Backup, Backup, Master]);
    router.stop(None, at(7000));
    assert_eq!(roles(&router), [Role::Stopped; 3]);
}
