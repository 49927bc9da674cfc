//! The version line and the help text.

/// The name the texts go by; scripts look for it.
pub(super) const VERSION: &str = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n";

/// What `-h` prints after the version line.
pub(super) const USAGE: &str = include_str!("usage.txt");
