//! The rules of RFC 9568, section 6.4, one by one, and keepalived's additions.

use super::*;
use crate::declared::Preemption;
use crate::declared::{Announcing, Version};
use crate::wire::Advert;

const SECOND: Duration = Duration::from_secs(1);

fn rules(priority: u8) -> Rules {
    Rules {
        version: Version::V3,
        priority,
        interval: SECOND,
        down_timer_adverts: 3,
        preemption: Preemption::default(),
        announcing: Announcing { delay: SECOND * 5, refresh: SECOND * 60, ..Announcing::default() },
        lower_priority_no_advert: false,
        higher_priority_send_advert: false,
        awaits_group: false,
    }
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn at(millis: u64) -> Tick {
    Tick::at(Duration::from_millis(millis))
}

fn advert(priority: u8, interval: Duration) -> Advert {
    Advert { version: Version::V3, router_id: 1, priority, interval, addresses: Vec::new() }
}

/// A machine at 10.0.0.5 that has started at zero.
fn started(rules: Rules) -> Machine {
    let mut machine = Machine::new(rules, address(5), Tick::ZERO);
    machine.start(Tick::ZERO);
    machine
}

fn actions(machine: &mut Machine) -> Vec<Action> {
    std::iter::from_fn(|| machine.next_action()).filter(|action| !matches!(action, Action::Tell(_))).collect()
}

/// A machine of priority 100 that became master when nobody was heard.
fn master() -> Machine {
    let mut machine = started(rules(100));
    machine.on_deadline(machine.next_deadline().unwrap());
    actions(&mut machine);
    assert_eq!(machine.role(), Role::Master);
    machine
}

#[test]
fn every_role_has_an_answer_to_every_event() {
    use Event::{GroupBackup, GroupMaster, MasterSilent, Outranked, Shutdown, Unusable, Usable};
    let events = [
        Usable { is_owner: false },
        Usable { is_owner: true },
        Unusable,
        MasterSilent,
        Outranked,
        GroupMaster,
        GroupBackup,
        Shutdown,
    ];
    let [s, f, b, m] = Role::ALL;
    for (role, after) in [
        (s, [b, m, f, s, s, s, s, s]),
        (f, [b, m, f, f, f, f, f, s]),
        (b, [b, b, f, m, b, m, b, s]),
        (m, [m, m, f, m, b, m, b, s]),
    ] {
        assert_eq!(events.map(|event| role.after(event)), after, "{role:?}");
    }
}

#[test]
fn the_owner_starts_as_master_and_all_others_as_backups() {
    let mut owner = started(rules(255));
    assert_eq!(owner.role(), Role::Master);
    let expected =
        [Action::Advertise { priority: 255 }, Action::TakeAddresses, Action::Announce { repeat: 5 }];
    assert_eq!(actions(&mut owner), expected, "6.4.1: the advert first");
    assert_eq!(started(rules(254)).role(), Role::Backup);
}

#[test]
fn a_backup_waits_three_intervals_and_the_skew() {
    let skew = |priority: u64| SECOND * u32::try_from(256 - priority).unwrap() / 256;
    for priority in [1, 100, 254] {
        let machine = started(rules(priority));
        let expected = SECOND * 3 + skew(priority.into());
        assert_eq!(machine.next_deadline(), Some(Tick::at(expected)), "{priority}");
    }
    // In version 2 the skew does not depend on the interval.
    let mut slow = rules(128);
    (slow.version, slow.interval) = (Version::V2, SECOND * 2);
    assert_eq!(started(slow).next_deadline(), Some(Tick::at(SECOND * 6 + SECOND / 2)));
    // In version 3 the skew is of the interval.
    let mut fast = rules(128);
    fast.interval = SECOND / 10;
    assert_eq!(started(fast).next_deadline(), Some(at(350)));
}

#[test]
fn a_silent_master_is_followed() {
    let mut machine = started(rules(100));
    machine.on_advert(&advert(150, SECOND), address(9), at(1000));
    machine.on_deadline(at(4600));
    assert_eq!(machine.role(), Role::Backup, "not before its time");
    machine.on_deadline(machine.next_deadline().unwrap());
    assert_eq!(machine.last_transition().cause, Cause::MasterSilent { master: address(9) });
    let expected =
        [Action::Advertise { priority: 100 }, Action::TakeAddresses, Action::Announce { repeat: 5 }];
    assert_eq!(actions(&mut machine), expected);
}

#[test]
fn a_backup_takes_the_interval_that_the_master_says() {
    let mut machine = started(rules(128));
    machine.on_advert(&advert(200, SECOND / 10), address(9), at(1000));
    assert_eq!(machine.next_deadline(), Some(at(1350)));
    machine.on_advert(&advert(200, SECOND * 2), address(9), at(1100));
    assert_eq!(machine.next_deadline(), Some(at(8100)));
}

#[test]
fn after_a_resignation_only_the_skew_is_waited_for() {
    let mut machine = started(rules(128));
    machine.on_advert(&advert(200, SECOND / 10), address(9), at(1000));
    machine.on_advert(&advert(0, SECOND / 10), address(9), at(1010));
    assert_eq!(machine.next_deadline(), Some(at(1060)), "by the interval received");
}

#[test]
fn a_master_of_lower_priority_is_taken_over_from_unless_that_is_not_wanted() {
    let deadline = |preemption| {
        let mut machine = started(Rules { preemption, ..rules(128) });
        machine.on_advert(&advert(100, SECOND), address(9), at(1000));
        machine.next_deadline().unwrap()
    };
    assert_eq!(deadline(Preemption::default()), at(3500), "the timer runs on");
    assert_eq!(deadline(Preemption::Never), at(4500));
    assert_eq!(deadline(Preemption::After(SECOND)), at(4500));
    let mut machine = started(rules(128));
    machine.on_advert(&advert(128, SECOND), address(9), at(1000));
    assert_eq!(machine.next_deadline(), Some(at(4500)), "of the same priority it stays master");
}

#[test]
fn a_delayed_take_over_comes_that_much_later() {
    let mut machine = started(Rules { preemption: Preemption::After(SECOND * 2), ..rules(128) });
    for second in 1..20 {
        let now = at(second * 1000);
        if machine.next_deadline().is_some_and(|due| due <= now) {
            break;
        }
        machine.on_advert(&advert(100, SECOND), address(9), now);
    }
    assert_eq!(
        machine.next_deadline(),
        Some(at(5500)),
        "2 s of patience, and 3.5 s from the last advert in it"
    );
}

#[test]
fn a_higher_priority_or_address_makes_a_master_yield() {
    for (priority, from, yields) in [(101, 1, true), (100, 9, true), (100, 1, false), (99, 9, false)] {
        let mut machine = master();
        machine.on_advert(&advert(priority, SECOND), address(from), at(10_000));
        assert_eq!(machine.role() == Role::Backup, yields, "{priority} from {from}");
        if yields {
            assert_eq!(actions(&mut machine), [Action::ReleaseAddresses]);
            assert_eq!(machine.master(), Some((address(from), priority)));
        }
    }
}

#[test]
fn a_lower_priority_is_answered_at_once() {
    let mut machine = master();
    machine.on_advert(&advert(99, SECOND), address(9), at(3700));
    let expected =
        [Action::Advertise { priority: 100 }, Action::Announce { repeat: 5 }, Action::TellLowerPriority];
    assert_eq!(actions(&mut machine), expected, "new in RFC 9568");
    assert_eq!(machine.next_deadline(), Some(at(4700)));
    let mut silent = started(Rules { lower_priority_no_advert: true, ..rules(100) });
    silent.on_deadline(at(10_000));
    actions(&mut silent);
    silent.on_advert(&advert(99, SECOND), address(9), at(10_100));
    assert!(!actions(&mut silent).contains(&Action::Advertise { priority: 100 }));
}

#[test]
fn a_master_answers_a_resignation_and_goes_on() {
    let mut machine = master();
    machine.on_advert(&advert(0, SECOND), address(9), at(3700));
    assert_eq!(actions(&mut machine), [Action::Advertise { priority: 100 }]);
    assert_eq!(machine.role(), Role::Master);
}

#[test]
fn adverts_go_at_their_interval_and_lateness_does_not_add_up() {
    let mut machine = master();
    let first = machine.next_deadline().unwrap();
    machine.on_deadline(first + Duration::from_millis(30));
    assert_eq!(machine.next_deadline(), Some(first + SECOND));
    machine.on_deadline(first + SECOND * 10);
    assert_eq!(machine.next_deadline(), Some(first + SECOND * 11), "those missed are not made up for");
    assert_eq!(actions(&mut machine).len(), 3, "two adverts and the second round of announcements");
}

#[test]
fn a_master_that_ends_or_fails_resigns_and_a_backup_says_nothing() {
    for end in [Machine::stop, Machine::fail] {
        let mut machine = master();
        end(&mut machine, at(5000));
        assert_eq!(actions(&mut machine), [Action::Advertise { priority: 0 }, Action::ReleaseAddresses]);
        assert_eq!(machine.next_deadline(), None);
        let mut machine = started(rules(100));
        end(&mut machine, at(1000));
        assert_eq!(actions(&mut machine), []);
    }
}

#[test]
fn what_had_failed_waits_again_before_it_is_master() {
    let mut machine = master();
    machine.fail(at(5000));
    machine.on_advert(&advert(1, SECOND), address(9), at(5500));
    assert_eq!(machine.role(), Role::Fault);
    machine.recover(at(6000));
    assert_eq!(machine.role(), Role::Backup);
    assert!(machine.next_deadline() > Some(at(9000)));
}

#[test]
fn addresses_are_announced_again_later_and_then_from_time_to_time() {
    let mut machine = started(Rules { interval: SECOND * 40, ..rules(255) });
    actions(&mut machine);
    assert_eq!(machine.next_deadline(), Some(at(5000)));
    machine.on_deadline(at(5000));
    assert_eq!(actions(&mut machine), [Action::Announce { repeat: 5 }]);
    machine.on_deadline(at(40_000));
    assert_eq!(actions(&mut machine), [Action::Advertise { priority: 255 }]);
    assert_eq!(machine.next_deadline(), Some(at(60_000)));
    machine.on_deadline(at(60_000));
    assert_eq!(actions(&mut machine), [Action::Announce { repeat: 1 }]);
}

#[test]
fn an_owner_that_is_not_heard_by_another_gives_way_in_the_end() {
    let mut machine = started(rules(255));
    actions(&mut machine);
    for millis in [100, 1100, 2100] {
        assert_eq!(machine.role(), Role::Master, "at {millis}");
        machine.on_advert(&advert(255, SECOND), address(1), at(millis));
    }
    assert_eq!(machine.role(), Role::Backup);
    assert_eq!(machine.priorities(), Priorities { base: 255, effective: 254 });
    let mut lower = started(rules(255));
    lower.on_advert(&advert(255, SECOND), address(9), at(100));
    assert_eq!(lower.role(), Role::Backup, "the lower address gives way at once");
}

#[test]
fn a_priority_that_sinks_is_told_by_the_next_advert() {
    let mut machine = master();
    machine.set_priority(50);
    assert_eq!(actions(&mut machine), [Action::TellPriority]);
    machine.on_deadline(machine.next_deadline().unwrap());
    assert_eq!(actions(&mut machine)[0], Action::Advertise { priority: 50 });
    let mut owner = started(rules(255));
    owner.set_priority(50);
    assert_eq!(owner.priorities().effective, 255, "an owner's stays");
}

#[test]
fn a_new_declaration_leaves_master_and_backup_what_they_are() {
    let mut machine = master();
    machine.reconfigure(Rules { priority: 120, ..rules(100) }, address(5), at(3700));
    assert_eq!((machine.role(), machine.priorities().effective), (Role::Master, 120));
    assert_eq!(actions(&mut machine), []);
    let mut backup = started(rules(100));
    backup.on_advert(&advert(200, SECOND), address(9), at(1000));
    backup.reconfigure(Rules { interval: SECOND * 2, ..rules(100) }, address(5), at(2000));
    assert_eq!(backup.role(), Role::Backup);
    assert!(backup.next_deadline() > Some(at(8000)));
}
