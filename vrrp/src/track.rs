//! What watched things do to a virtual router's priority and health.

use crate::declared::Weight;

/// What a watched thing is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// An interface, script or process is up.
    Up,
    /// It is down.
    Down,
    /// The number in a file.
    Number(i64),
}

/// What all watched things together do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effect {
    /// Added to the priority.
    pub priority: i64,
    /// True when one of them is a fault.
    pub is_fault: bool,
}

impl Effect {
    /// The effective priority of a virtual router of this priority: 1 to 254, and an owner's stays what it is.
    pub fn on(self, base: u8) -> u8 {
        if base == u8::MAX {
            return base;
        }
        u8::try_from((i64::from(base) + self.priority).clamp(1, 254)).unwrap_or(base)
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            priority: self.priority.saturating_add(other.priority),
            is_fault: self.is_fault || other.is_fault,
        }
    }
}

/// What readings do, each with its weight; the table stands at [`Weight`].
pub fn effect(readings: impl IntoIterator<Item = (Reading, Weight)>) -> Effect {
    readings.into_iter().map(|(reading, weight)| of_one(reading, weight)).fold(Effect::default(), Effect::and)
}

fn of_one(reading: Reading, weight: Weight) -> Effect {
    let fault = Effect { priority: 0, is_fault: true };
    let none = Effect::default();
    let add = |priority| Effect { priority, is_fault: false };
    let value = i64::from(weight.value);
    let sign = if weight.is_reversed { -1 } else { 1 };
    match (reading, value.signum()) {
        (Reading::Up, 0) => {
            if weight.is_reversed {
                fault
            } else {
                none
            }
        }
        (Reading::Down, 0) => {
            if weight.is_reversed {
                none
            } else {
                fault
            }
        }
        (Reading::Up, 1) | (Reading::Down, -1) => add(sign * value),
        (Reading::Up | Reading::Down, _) => none,
        (Reading::Number(number), 0) => {
            if (number == 0) == weight.is_reversed {
                fault
            } else {
                none
            }
        }
        (Reading::Number(number), _) => of_number(number.saturating_mul(value).saturating_mul(sign)),
    }
}

/// A file can take a virtual router down (-254 and less), not make it an owner.
const fn of_number(number: i64) -> Effect {
    Effect { priority: number, is_fault: number <= -254 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_holds() {
        let of = |value, is_reversed, reading| {
            let effect = effect([(reading, Weight { value, is_reversed })]);
            (effect.priority, effect.is_fault)
        };
        for (value, is_reversed, up, down) in [
            (0, false, (0, false), (0, true)),
            (0, true, (0, true), (0, false)),
            (10, false, (10, false), (0, false)),
            (-10, false, (0, false), (-10, false)),
            (10, true, (-10, false), (0, false)),
            (-10, true, (0, false), (10, false)),
        ] {
            assert_eq!(of(value, is_reversed, Reading::Up), up, "{value} {is_reversed}");
            assert_eq!(of(value, is_reversed, Reading::Down), down, "{value} {is_reversed}");
        }
        assert_eq!(of(2, false, Reading::Number(-7)), (-14, false));
        assert_eq!(of(2, true, Reading::Number(-7)), (14, false));
        assert_eq!(of(0, false, Reading::Number(1)), (0, true));
        assert_eq!(of(0, false, Reading::Number(0)), (0, false));
        assert_eq!(of(1, false, Reading::Number(-254)), (-254, true));
    }

    #[test]
    fn a_priority_stays_within_its_bounds_and_an_owners_stays() {
        let on = |priority, base| Effect { priority, is_fault: false }.on(base);
        assert_eq!([on(10, 100), on(253, 100), on(-253, 100), on(-253, 255)], [110, 254, 1, 255]);
    }

    #[test]
    fn several_things_add_up() {
        let down = |value| (Reading::Down, Weight { value, is_reversed: false });
        assert_eq!(effect([down(-10), down(-20), down(5)]), Effect { priority: -30, is_fault: false });
        assert!(effect([down(-10), down(0)]).is_fault);
    }
}
