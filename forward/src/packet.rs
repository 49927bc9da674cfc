//! One frame in its buffer, with the room before and behind it.

/// The frame did not fit: the buffer has no room for the bytes that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the frame's buffer has no room for {0} more bytes")]
pub struct NoRoom(pub usize);

/// A frame (from its Ethernet header on) within a larger buffer.
#[derive(Debug)]
pub struct Packet<'a> {
    buffer: &'a mut [u8],
    start: usize,
    end: usize,
}

impl<'a> Packet<'a> {
    /// The frame `buffer[start..start + len]`; cut to the buffer where it would reach past it.
    #[inline]
    pub fn new(buffer: &'a mut [u8], start: usize, len: usize) -> Self {
        let start = start.min(buffer.len());
        let end = start.saturating_add(len).min(buffer.len());
        Self { buffer, start, end }
    }

    /// The frame.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The frame, to be changed in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// The frame's length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// True for a frame without a byte.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Where the frame begins in its buffer.
    #[inline]
    pub fn start(&self) -> usize {
        self.start
    }

    /// Makes room for `count` bytes before offset `at` of the frame and returns the frame as it is then. The
    /// new bytes hold what was there. Uses the room in front where there is enough (only `at` bytes move), and
    /// else moves what follows toward the end.
    ///
    /// # Errors
    /// [`NoRoom`] when neither side has `count` bytes; the frame is then as it was.
    pub fn insert(&mut self, at: usize, count: usize) -> Result<&mut [u8], NoRoom> {
        let at = at.min(self.len());
        if self.start >= count {
            self.buffer.copy_within(self.start..self.start + at, self.start - count);
            self.start -= count;
        } else if self.buffer.len() - self.end >= count {
            self.buffer.copy_within(self.start + at..self.end, self.start + at + count);
            self.end += count;
        } else {
            return Err(NoRoom(count));
        }
        Ok(self.bytes_mut())
    }

    /// Cuts the frame to its first `len` bytes.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start.saturating_add(len));
    }

    /// Gives the frame a length of `len` bytes, longer or shorter; bytes that come in hold what was there.
    ///
    /// # Errors
    /// [`NoRoom`] when the buffer ends before that.
    pub fn resize(&mut self, len: usize) -> Result<(), NoRoom> {
        let end = self.start.saturating_add(len);
        if end > self.buffer.len() {
            return Err(NoRoom(end - self.buffer.len()));
        }
        self.end = end;
        Ok(())
    }
}
