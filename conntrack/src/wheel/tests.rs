//! The wheel alone: everything comes out once, in time, and no sooner than it must.

use super::*;

/// What the wheel hands out for good at `now`, in milliseconds; what came up early is queued again. An entry is
/// the moment it is to come out at.
fn drain(wheel: &mut Wheel<u64>, now: u64, max: usize) -> Vec<u64> {
    let (mut batch, mut out) = (Vec::new(), Vec::new());
    loop {
        wheel.take_due(Tick::from_millis(now), max, &mut batch);
        if batch.is_empty() {
            out.sort_unstable();
            return out;
        }
        for (timer, due) in batch.drain(..) {
            if due <= now {
                wheel.remove(timer);
                out.push(due);
            } else {
                wheel.schedule(timer, Tick::from_millis(due));
            }
        }
    }
}

fn add(wheel: &mut Wheel<u64>, due: u64) -> Timer {
    wheel.add(due, Tick::from_millis(due))
}

const DUES: [u64; 12] =
    [0, 1, 15, 16, 17, 1023, 1024, 65_535, 65_536, 4_194_304, 86_400_000, 40 * 86_400_000];

#[test]
fn every_entry_comes_out_at_its_millisecond() {
    for max in [1, 3, 100] {
        let mut wheel = Wheel::new();
        for due in DUES {
            add(&mut wheel, due);
        }
        for due in DUES {
            if due > 0 {
                assert_eq!(drain(&mut wheel, due - 1, max), Vec::<u64>::new().as_slice(), "before {due}");
            }
            assert_eq!(drain(&mut wheel, due, max), [due]);
        }
    }
}

#[test]
fn a_jump_over_everything_hands_out_everything() {
    let mut wheel = Wheel::new();
    for due in DUES {
        add(&mut wheel, due);
    }
    assert_eq!(drain(&mut wheel, u64::MAX, 2), DUES);
}

#[test]
fn an_entry_beyond_the_wheels_span_still_comes_out() {
    let mut wheel = Wheel::new();
    let due = (SPAN << GRANULE_SHIFT) * 3 + 5;
    add(&mut wheel, due);
    assert_eq!(drain(&mut wheel, due - 1, 10), Vec::<u64>::new().as_slice());
    assert_eq!(drain(&mut wheel, due, 10), [due]);
}

#[test]
fn an_entry_moves_forward_but_not_back() {
    let mut wheel = Wheel::new();
    let one = wheel.add(0, Tick::from_millis(100_000));
    wheel.schedule(one, Tick::from_millis(200_000));
    assert_eq!(wheel.node(one.0).due, Tick::from_millis(100_000));
    wheel.schedule(one, Tick::from_millis(50));
    assert_eq!(wheel.node(one.0).due, Tick::from_millis(50));
    let mut batch = Vec::new();
    wheel.take_due(Tick::from_millis(50), 10, &mut batch);
    assert_eq!(batch, [(one, 0)]);
    assert_eq!(drain(&mut wheel, u64::MAX, 10), Vec::<u64>::new().as_slice());
}

#[test]
fn a_removed_entry_stays_away_and_its_neighbours_come() {
    let mut wheel = Wheel::new();
    let timers: Vec<_> = (0..10).map(|n| add(&mut wheel, 70_000 + n)).collect();
    for index in [0, 9, 4, 4] {
        wheel.remove(timers[index]);
    }
    wheel.schedule(timers[4], Tick::ZERO);
    assert_eq!(drain(&mut wheel, 80_000, 100), [1, 2, 3, 5, 6, 7, 8].map(|n| 70_000 + n));
    assert_eq!(wheel.occupied, [0; LEVELS as usize]);
}

#[test]
fn numbers_are_used_again_and_one_that_was_handed_out_can_be_removed() {
    let mut wheel = Wheel::new();
    let mut batch = Vec::new();
    for round in 0..5 {
        let timers: Vec<_> = (0..100).map(|n| add(&mut wheel, round * 1000 + n)).collect();
        wheel.take_due(Tick::from_millis(round * 1000 + 500), 50, &mut batch);
        for timer in timers {
            wheel.remove(timer);
        }
        assert_eq!((batch.len(), wheel.nodes.len()), (50, (LEVELS * SLOTS) as usize + 100));
        assert!(drain(&mut wheel, round * 1000 + 999, 10).is_empty());
        batch.clear();
    }
}

#[test]
fn time_that_goes_back_hands_out_nothing_and_loses_nothing() {
    let mut wheel = Wheel::new();
    assert!(drain(&mut wheel, 1_000_000, 10).is_empty());
    add(&mut wheel, 500);
    assert!(drain(&mut wheel, 400, 10).is_empty());
    assert_eq!(drain(&mut wheel, 1_000_001, 10), [500]);
}

#[test]
fn a_slot_handed_out_in_part_goes_on_before_later_ones() {
    let mut wheel = Wheel::new();
    // All in one slot of level 1; the first to come out are queued again further back in it.
    for due in [1100, 1200, 1990, 1995] {
        add(&mut wheel, due);
    }
    let mut batch = Vec::new();
    wheel.take_due(Tick::from_millis(1030), 2, &mut batch);
    for (timer, due) in batch.drain(..) {
        wheel.schedule(timer, Tick::from_millis(due));
    }
    assert_eq!(drain(&mut wheel, 1200, 1), [1100, 1200]);
    assert_eq!(drain(&mut wheel, 1995, 1), [1990, 1995]);
}
