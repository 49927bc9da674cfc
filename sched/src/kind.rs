//! The schedulers by name, and how one is made.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::dh::DestinationHash;
use crate::flags::Flags;
use crate::fo::Failover;
use crate::lblc::Lblc;
use crate::lblcr::Lblcr;
use crate::lc::LeastConnection;
use crate::least::Least;
use crate::mh::Maglev;
use crate::nq::NeverQueue;
use crate::ovf::Overflow;
use crate::pool::Pool;
use crate::rr::RoundRobin;
use crate::scheduler::Scheduler;
use crate::sed::ShortestDelay;
use crate::sh::SourceHash;
use crate::twos::TwoChoices;
use crate::wlc::WeightedLeastConnection;
use crate::wrr::WeightedRoundRobin;

/// A scheduler's kind; its name is the one ipvsadm's `-s` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// `rr`: one after another.
    Rr,
    /// `wrr`: one after another, in proportion to the weights.
    Wrr,
    /// `lc`: the fewest connections.
    Lc,
    /// `wlc`: the fewest connections for its weight; what a service gets that names none.
    #[default]
    Wlc,
    /// `sed`: the shortest expected delay, which is active connections plus one for its weight.
    Sed,
    /// `nq`: an idle server if there is one, else as `sed`.
    Nq,
    /// `sh`: by the client's address.
    Sh,
    /// `dh`: by the address the client spoke to.
    Dh,
    /// `mh`: by the client's address, over a Maglev table.
    Mh,
    /// `lblc`: the server that served this destination address before, unless it is overloaded.
    Lblc,
    /// `lblcr`: the least loaded of the servers that serve this destination address.
    Lblcr,
    /// `fo`: the highest weight there is.
    Fo,
    /// `ovf`: the highest weight whose active connections have not passed it.
    Ovf,
    /// `twos`: the better of two drawn by weight.
    Twos,
}

impl Kind {
    /// Every kind, in the order they are told in this crate's documentation.
    pub const ALL: [Self; 14] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Sed,
        Self::Nq,
        Self::Sh,
        Self::Dh,
        Self::Mh,
        Self::Lblc,
        Self::Lblcr,
        Self::Fo,
        Self::Ovf,
        Self::Twos,
    ];

    /// The name ipvsadm knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Sh => "sh",
            Self::Dh => "dh",
            Self::Mh => "mh",
            Self::Lblc => "lblc",
            Self::Lblcr => "lblcr",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Twos => "twos",
        }
    }

    /// True for the kinds to which [`Flags`] make a difference; their schedulers remember nothing, so that a
    /// change of flags is a new [`Kind::build`]. With every other kind a change of flags changes nothing.
    pub const fn reads_flags(self) -> bool {
        matches!(self, Self::Sh | Self::Mh)
    }

    /// Makes a scheduler for `pool`. `seed` is the secret behind `twos`' draws and the hash of `lblc` and
    /// `lblcr`; the others do not look at it.
    pub fn build(self, flags: Flags, seed: u64, pool: &dyn Pool) -> Result<Box<dyn Scheduler>, BuildError> {
        Ok(match self {
            Self::Rr => Box::new(RoundRobin::new(pool)),
            Self::Wrr => Box::new(WeightedRoundRobin::new(pool)),
            Self::Lc => Box::new(Least::<LeastConnection>::new(pool)),
            Self::Wlc => Box::new(Least::<WeightedLeastConnection>::new(pool)),
            Self::Sed => Box::new(Least::<ShortestDelay>::new(pool)),
            Self::Nq => Box::new(Least::<NeverQueue>::new(pool)),
            Self::Sh => Box::new(SourceHash::new(flags, pool)),
            Self::Dh => Box::new(DestinationHash::new(pool)),
            Self::Mh => Box::new(Maglev::new(flags, pool)?),
            Self::Lblc => Box::new(Lblc::new(seed, pool)),
            Self::Lblcr => Box::new(Lblcr::new(seed, pool)),
            Self::Fo => Box::new(Failover::new(pool)),
            Self::Ovf => Box::new(Overflow::new(pool)),
            Self::Twos => Box::new(TwoChoices::new(seed, pool)),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownKind(name.to_owned()))
    }
}

/// No scheduler has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind(pub String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no scheduler is named `{}`", self.0)
    }
}

impl Error for UnknownKind {}

/// Why a scheduler cannot be made for a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildError {
    /// `mh` has a place in its table for each server, and there are more servers than places.
    TooManyServers {
        /// How many servers the pool has.
        servers: usize,
        /// How many the table has room for.
        limit: usize,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyServers { servers, limit } => {
                write!(f, "mh has room for {limit} servers, not for {servers}")
            }
        }
    }
}

impl Error for BuildError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("WLC".parse::<Kind>(), Err(UnknownKind("WLC".to_owned())));
        assert_eq!(Kind::default().name(), "wlc");
    }
}
