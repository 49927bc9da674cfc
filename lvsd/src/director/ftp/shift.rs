//! How far what a server sends is moved, once an answer of its has another length.

/// The move of a server's sequence numbers: one way before an octet, another behind it (the kernel's
/// `nf_ct_seqadj`). An earlier place is forgotten: whoever asks for octets again asks for the last ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shift {
    /// The server's number of the first octet of the last changed segment.
    at: u32,
    before: i32,
    after: i32,
}

impl Shift {
    /// The segment that begins with the octet `sequence` is `by` octets longer for the client.
    pub(super) fn lengthen(&mut self, sequence: u32, by: i32) {
        if by != 0 && (self.before == self.after || is_behind(sequence, self.at)) {
            *self = Self { at: sequence, before: self.after, after: self.after.wrapping_add(by) };
        }
    }

    /// The client's number of an octet of the server's.
    pub(super) fn forth(&self, sequence: u32) -> u32 {
        sequence.wrapping_add_signed(if is_behind(sequence, self.at) { self.after } else { self.before })
    }

    /// The server's number of an octet that the client speaks of.
    pub(super) fn back(&self, seen: u32) -> u32 {
        let before = seen.wrapping_sub(self.before.cast_unsigned());
        if is_behind(before, self.at) { seen.wrapping_sub(self.after.cast_unsigned()) } else { before }
    }
}

/// True where the one number comes after the other; numbers go round (RFC 9293, 3.4).
const fn is_behind(one: u32, other: u32) -> bool {
    other.wrapping_sub(one).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_follows_the_changed_segment_moves() {
        let mut shift = Shift::default();
        shift.lengthen(1000, -2);
        assert_eq!([999, 1000, 1001, 1040].map(|n| shift.forth(n)), [999, 1000, 999, 1038]);
        assert_eq!([999, 1000, 1038].map(|n| shift.back(n)), [999, 1000, 1040]);
        shift.lengthen(1040, 5);
        assert_eq!([1040, 1041, 1100].map(|n| shift.forth(n)), [1038, 1044, 1103]);
        assert_eq!([1038, 1103].map(|n| shift.back(n)), [1040, 1100]);
    }

    #[test]
    fn the_same_segment_again_moves_nothing_more() {
        let mut shift = Shift::default();
        shift.lengthen(1000, 3);
        let once = shift;
        shift.lengthen(1000, 3);
        shift.lengthen(900, 3);
        shift.lengthen(2000, 0);
        assert_eq!(shift, once);
    }

    #[test]
    fn numbers_go_round() {
        let mut shift = Shift::default();
        shift.lengthen(u32::MAX - 5, 10);
        assert_eq!((shift.forth(u32::MAX - 5), shift.forth(4)), (u32::MAX - 5, 14));
        assert_eq!(shift.back(14), 4);
        for number in [0, 1, 1 << 31, u32::MAX] {
            assert_eq!(Shift::default().forth(number), number);
            assert_eq!(Shift::default().back(number), number);
        }
    }
}
