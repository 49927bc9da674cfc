//! The wheel alone: everything comes out once, in time, and no sooner than it must.

use super::*;

struct Item {
    timer: Timer,
    due: u64,
}

impl Timed for Item {
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

fn item(due: u64) -> Arc<Item> {
    Arc::new(Item { timer: Timer::new(), due })
}

/// What the wheel hands out for good at `now`, in milliseconds; what came up early is queued again.
fn drain(wheel: &mut Wheel<Item>, now: u64, max: usize) -> Vec<u64> {
    let (mut batch, mut out) = (Vec::new(), Vec::new());
    loop {
        wheel.take_due(Tick::from_millis(now), max, &mut batch);
        if batch.is_empty() {
            out.sort_unstable();
            return out;
        }
        for item in batch.drain(..) {
            if item.due <= now {
                out.push(item.due);
            } else {
                wheel.schedule(&item, Tick::from_millis(item.due));
            }
        }
    }
}

const DUES: [u64; 12] =
    [0, 1, 15, 16, 17, 1023, 1024, 65_535, 65_536, 4_194_304, 86_400_000, 40 * 86_400_000];

#[test]
fn every_entry_comes_out_at_its_millisecond() {
    for max in [1, 3, 100] {
        let mut wheel = Wheel::new();
        for due in DUES {
            wheel.schedule(&item(due), Tick::from_millis(due));
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
        wheel.schedule(&item(due), Tick::from_millis(due));
    }
    assert_eq!(drain(&mut wheel, u64::MAX, 2), DUES);
}

#[test]
fn an_entry_beyond_the_wheels_span_still_comes_out() {
    let mut wheel = Wheel::new();
    let due = (SPAN << GRANULE_SHIFT) * 3 + 5;
    wheel.schedule(&item(due), Tick::from_millis(due));
    assert_eq!(drain(&mut wheel, due - 1, 10), Vec::<u64>::new().as_slice());
    assert_eq!(drain(&mut wheel, due, 10), [due]);
}

#[test]
fn an_entry_moves_forward_but_not_back() {
    let mut wheel = Wheel::new();
    let one = item(100_000);
    wheel.schedule(&one, Tick::from_millis(100_000));
    wheel.schedule(&one, Tick::from_millis(200_000));
    assert_eq!(one.timer.due(), Tick::from_millis(100_000));
    wheel.schedule(&one, Tick::from_millis(50));
    assert_eq!(one.timer.due(), Tick::from_millis(50));
    let mut batch = Vec::new();
    wheel.take_due(Tick::from_millis(50), 10, &mut batch);
    assert_eq!(batch.len(), 1);
    assert_eq!(drain(&mut wheel, u64::MAX, 10), Vec::<u64>::new().as_slice());
}

#[test]
fn a_cancelled_entry_stays_away_and_its_neighbours_come() {
    let mut wheel = Wheel::new();
    let items: Vec<_> = (0..10).map(|n| item(70_000 + n)).collect();
    for item in &items {
        wheel.schedule(item, Tick::from_millis(item.due));
    }
    for index in [0, 9, 4, 4] {
        wheel.cancel(&items[index]);
    }
    assert_eq!(drain(&mut wheel, 80_000, 100), [1, 2, 3, 5, 6, 7, 8].map(|n| 70_000 + n));
    assert_eq!(wheel.occupied, [0; LEVELS as usize]);
}

#[test]
fn time_that_goes_back_hands_out_nothing_and_loses_nothing() {
    let mut wheel = Wheel::new();
    assert!(drain(&mut wheel, 1_000_000, 10).is_empty());
    wheel.schedule(&item(500), Tick::from_millis(500));
    assert!(drain(&mut wheel, 400, 10).is_empty());
    assert_eq!(drain(&mut wheel, 1_000_001, 10), [500]);
}

#[test]
fn a_slot_handed_out_in_part_goes_on_before_later_ones() {
    let mut wheel = Wheel::new();
    // All in one slot of level 1; the first to come out are queued again further back in it.
    for due in [1100, 1200, 1990, 1995] {
        wheel.schedule(&item(due), Tick::from_millis(due));
    }
    let mut batch = Vec::new();
    wheel.take_due(Tick::from_millis(1030), 2, &mut batch);
    for item in batch.drain(..) {
        wheel.schedule(&item, Tick::from_millis(item.due));
    }
    assert_eq!(drain(&mut wheel, 1200, 1), [1100, 1200]);
    assert_eq!(drain(&mut wheel, 1995, 1), [1990, 1995]);
}
