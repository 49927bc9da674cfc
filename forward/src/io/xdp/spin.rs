//! How long to look for packets before going to sleep.
//!
//! A sleep costs the next packet some 30 microseconds, and looking costs processor time. So looking is worth it
//! while packets come close upon each other, and is given up by halves when they do not. The first packet after a
//! silence is for somebody who will answer it: it is worth looking for that a little longer, once.

/// The least looks before a sleep.
const LEAST: u32 = 16;
/// So many packets right after a sleep say that they come close upon each other.
const DENSE: u64 = 8;
/// For an answer so many times the most looks are taken: a server has to be wakened first.
const PATIENCE: u32 = 3;

/// The number of looks at the rings before a sleep, as experience has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spin {
    most: u32,
    looks: u32,
    has_slept: bool,
    /// An answer may come.
    is_patient: bool,
}

impl Spin {
    /// At most `most` looks, which is also where it begins.
    pub(super) const fn new(most: u32) -> Self {
        Self { most, looks: most, has_slept: false, is_patient: false }
    }

    /// How many looks to take now.
    pub(super) const fn looks(self) -> u32 {
        if self.is_patient { self.most.saturating_mul(PATIENCE) } else { self.looks }
    }

    /// Somebody will be answered.
    pub(super) const fn on_silence_broken(&mut self) {
        self.is_patient = true;
    }

    /// A look found packets.
    pub(super) const fn on_found(&mut self) {
        self.looks = self.most;
        self.is_patient = false;
    }

    /// No look found any, and a sleep follows.
    pub(super) fn on_sleep(&mut self) {
        self.looks = (self.looks / 2).max(LEAST).min(self.most);
        self.has_slept = true;
        self.is_patient = false;
    }

    /// A burst brought so many packets.
    pub(super) const fn on_burst(&mut self, received: u64) {
        if self.has_slept && received >= DENSE {
            self.looks = self.most;
        }
        self.has_slept = false;
    }
}

#[cfg(test)]
mod tests {
    use super::Spin;

    #[test]
    fn looking_is_given_up_by_halves_and_taken_up_at_once() {
        let mut spin = Spin::new(100);
        spin.on_sleep();
        assert_eq!(spin.looks(), 50);
        for _ in 0..9 {
            spin.on_sleep();
        }
        assert_eq!(spin.looks(), 16);
        spin.on_burst(2);
        assert_eq!(spin.looks(), 16, "a packet now and then is not worth it");
        spin.on_burst(64);
        assert_eq!(spin.looks(), 16, "nor is a burst that did not follow a sleep");
        spin.on_sleep();
        spin.on_burst(8);
        assert_eq!(spin.looks(), 100);
        spin.on_sleep();
        spin.on_found();
        assert_eq!(spin.looks(), 100);
    }

    #[test]
    fn an_answer_is_waited_for_once() {
        let mut spin = Spin::new(100);
        (0..9).for_each(|_| spin.on_sleep());
        spin.on_burst(1);
        spin.on_silence_broken();
        assert_eq!(spin.looks(), 300);
        spin.on_sleep();
        assert_eq!(spin.looks(), 16, "none came");
        spin.on_silence_broken();
        spin.on_found();
        assert_eq!(spin.looks(), 100, "one came");
    }

    #[test]
    fn who_wants_no_looks_gets_none() {
        let mut spin = Spin::new(0);
        spin.on_sleep();
        spin.on_burst(64);
        spin.on_silence_broken();
        assert_eq!(spin.looks(), 0);
    }
}
