//! The IPv4 header (RFC 791).
//!
//! ```text
//!  0 version, IHL | 1 TOS | 2 total length | 4 identification | 6 flags, fragment offset
//!  8 TTL | 9 protocol | 10 checksum | 12 source | 16 destination | 20 options
//! ```

/// Octets of the header without options.
pub const HEADER: usize = 20;
/// Octets of the longest header.
pub const LONGEST: usize = 60;
/// The largest datagram every host must take whole (RFC 791, 3.1); an ICMP error is not made larger.
pub const MINIMUM_REASSEMBLY: usize = 576;
/// The smallest MTU of a link (RFC 791, 3.2).
pub const MINIMUM_MTU: usize = 68;

pub(crate) const TOS: usize = 1;
pub(crate) const TOTAL_LENGTH: usize = 2;
pub(crate) const IDENT: usize = 4;
pub(crate) const FRAGMENT: usize = 6;
pub(crate) const TTL: usize = 8;
pub(crate) const PROTO: usize = 9;
pub(crate) const CHECKSUM: usize = 10;
pub(crate) const SOURCE: usize = 12;
pub(crate) const DESTINATION: usize = 16;

/// "Don't fragment", in the word at [`FRAGMENT`].
pub(crate) const DF: u16 = 0x4000;
/// "More fragments", in the word at [`FRAGMENT`].
pub(crate) const MF: u16 = 0x2000;
/// The fragment offset in units of 8 octets, in the word at [`FRAGMENT`].
pub(crate) const OFFSET: u16 = 0x1fff;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_LOOSE_ROUTE: u8 = 0x83;
const OPTION_STRICT_ROUTE: u8 = 0x89;
/// This option goes into every fragment.
const OPTION_COPIED: u8 = 0x80;

/// What is to be known of a packet's options before it is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Options {
    /// The header has none.
    None,
    /// Some, none of which sets the way.
    Some,
    /// The sender sets the way: LSRR or SSRR, or an IPv6 routing header that has not come to its end.
    SourceRoute,
    /// Their lengths contradict each other.
    Malformed,
}

/// One option: its type, and the octets it takes with its type and length.
struct Spans<'a> {
    options: &'a [u8],
    at: usize,
}

/// Where an option lies, or `Err` where its length makes no sense.
impl Iterator for Spans<'_> {
    type Item = Result<(u8, usize, usize), ()>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let kind = *self.options.get(start)?;
        let len = match kind {
            OPTION_END => return None,
            OPTION_NOP => 1,
            _ => match self.options.get(start + 1) {
                Some(&len) if len >= 2 && start + usize::from(len) <= self.options.len() => usize::from(len),
                _ => {
                    self.at = self.options.len();
                    return Some(Err(()));
                }
            },
        };
        self.at = start + len;
        Some(Ok((kind, start, len)))
    }
}

/// Looks through the options of a header.
pub(crate) fn options(options: &[u8]) -> Options {
    let mut found = if options.is_empty() { Options::None } else { Options::Some };
    for span in (Spans { options, at: 0 }) {
        match span {
            Ok((OPTION_LOOSE_ROUTE | OPTION_STRICT_ROUTE, ..)) => found = Options::SourceRoute,
            Ok(_) => {}
            Err(()) => return Options::Malformed,
        }
    }
    found
}

/// Blanks the options that only a datagram's first fragment carries (RFC 791, 3.1).
pub(crate) fn keep_copied_options(options: &mut [u8]) {
    let mut at = 0;
    while let Some(Ok((kind, start, len))) = (Spans { options, at }).next() {
        if kind & OPTION_COPIED == 0
            && let Some(option) = options.get_mut(start..start + len)
        {
            option.fill(OPTION_NOP);
        }
        at = start + len;
    }
}
