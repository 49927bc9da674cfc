//! The numbers of epochs: a flow's decision counts in the epoch that it was made in.

/// The epoch there is, and the last one there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Epochs {
    current: u8,
    last: u8,
}

impl Epochs {
    /// As a predecessor left them.
    pub(super) const fn inherited(epoch: u8) -> Self {
        Self { current: epoch, last: epoch }
    }

    /// The epoch there is; 0 for none.
    pub(super) const fn current(self) -> u8 {
        self.current
    }

    /// Ends the epoch: there is none.
    pub(super) const fn end(&mut self) {
        self.current = 0;
    }

    /// Begins the next epoch. True where the numbers begin anew: what was decided under them has to be forgotten first.
    pub(super) const fn begin(&mut self) -> bool {
        let is_anew = self.last == u8::MAX;
        self.last = if is_anew { 1 } else { self.last + 1 };
        self.current = self.last;
        is_anew
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_again_only_where_those_before_are_forgotten() {
        let mut epochs = Epochs::default();
        assert!((1..=255).all(|number| !epochs.begin() && epochs.current() == number));
        assert!(epochs.begin());
        assert_eq!(epochs.current(), 1);
    }

    #[test]
    fn an_epoch_that_ended_does_not_come_again() {
        let mut epochs = Epochs::inherited(7);
        epochs.end();
        assert_eq!(epochs.current(), 0);
        assert!(!epochs.begin());
        assert_eq!(epochs.current(), 8);
    }
}
