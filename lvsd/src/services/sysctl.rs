//! The values of `net.ipv4.vs`, by the kernel's names and with its defaults.

use crate::message::Refusal;

macro_rules! sysctls {
    ($($(#[doc = $doc:literal])+ $name:ident in $low:literal ..= $high:literal = $default:literal,)+) => {
        /// One value for each name. `sync_threshold` holds the first of its two numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Sysctls { $($(#[doc = $doc])+ pub $name: i32,)+ }

        impl Default for Sysctls {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Sysctls {
            /// Every name.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)+];

            /// The value of a name, without its `net.ipv4.vs.`.
            pub fn get(&self, name: &str) -> Option<i32> {
                match name {
                    $(stringify!($name) => Some(self.$name),)+
                    _ => None,
                }
            }

            /// Sets one value.
            ///
            /// # Errors
            /// [`Refusal::NoEntry`] for a name that is not there, [`Refusal::Invalid`] for a value it does not take.
            pub fn set(&mut self, name: &str, value: i32) -> Result<(), Refusal> {
                match name {
                    $(stringify!($name) => store(&mut self.$name, value, $low, $high),)+
                    _ => Err(Refusal::NoEntry),
                }
            }
        }
    };
}

sysctls! {
    /// Memory, in pages, under which the automatic defences begin.
    amemthresh in -2_147_483_648 ..= 2_147_483_647 = 1024,
    /// One in how many packets `drop_packet` 3 drops.
    am_droprate in -2_147_483_648 ..= 2_147_483_647 = 10,
    /// Half-open connections are dropped at random: 0 never, 1 and 2 when memory is short, 3 always.
    drop_entry in 0 ..= 3 = 0,
    /// New connections are refused: 0 never, 1 and 2 when memory is short, 3 always.
    drop_packet in 0 ..= 3 = 0,
    /// Netfilter's connection tracking beside IPVS's; there is none here.
    conntrack in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// The stricter TCP states: 0 never, 1 and 2 when memory is short, 3 always.
    secure_tcp in 0 ..= 3 = 0,
    /// Replies are routed anew after their source was rewritten.
    snat_reroute in -2_147_483_648 ..= 2_147_483_647 = 1,
    /// Version of the synchronisation messages.
    sync_version in 0 ..= 1 = 1,
    /// Ports, and threads, of the synchronisation.
    sync_ports in 1 ..= 64 = 1,
    /// What the synchronisation does about persistence templates.
    sync_persist_mode in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// How many synchronisation messages may wait.
    sync_qlen_max in -2_147_483_648 ..= 2_147_483_647 = 65536,
    /// The synchronisation socket's buffer, in bytes.
    sync_sock_size in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// A marked packet without a server goes where it was going.
    cache_bypass in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// Connections of removed or quiesced servers end at their next packet.
    expire_nodest_conn in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// A TCP connection may be picked up in its middle.
    sloppy_tcp in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// An SCTP association may be picked up in its middle.
    sloppy_sctp in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// A template whose server has weight 0 is not followed.
    expire_quiescent_template in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// Packets after which a connection is synchronised.
    sync_threshold in 0 ..= 2_147_483_647 = 3,
    /// Seconds between two synchronisations of one connection.
    sync_refresh_period in 0 ..= 2_147_483_647 = 0,
    /// Repetitions of a synchronisation message.
    sync_retries in 0 ..= 3 = 0,
    /// A reply without a connection is answered with port unreachable.
    nat_icmp_send in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// The outer header of a tunnel takes the inner one's don't-fragment bit.
    pmtu_disc in -2_147_483_648 ..= 2_147_483_647 = 1,
    /// A backup forwards nothing.
    backup_only in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// Which connections a new SYN begins anew: bit 0 ending ones, bit 1 also after FIN without replies seen.
    conn_reuse_mode in -2_147_483_648 ..= 2_147_483_647 = 1,
    /// An ICMP error without a connection may begin one.
    schedule_icmp in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// Packets of protocols without services are not looked at twice.
    ignore_tunneled in -2_147_483_648 ..= 2_147_483_647 = 0,
    /// Rates are estimated.
    run_estimation in -2_147_483_648 ..= 2_147_483_647 = 1,
    /// Seconds after which an entry of lblc goes.
    lblc_expiration in 0 ..= 2_147_483_647 = 86_400,
    /// Seconds after which a set of lblcr shrinks.
    lblcr_expiration in 0 ..= 2_147_483_647 = 86_400,
}

impl Sysctls {
    /// Sets one value from text, as `sysctl -w` would: `name` with or without `net.ipv4.vs.` (or its slashes).
    ///
    /// # Errors
    /// As [`set`](Self::set); [`Refusal::Invalid`] also for what is no number.
    pub fn set_text(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let name =
            name.strip_prefix("net.ipv4.vs.").or_else(|| name.strip_prefix("net/ipv4/vs/")).unwrap_or(name);
        let first = value.split_whitespace().next().unwrap_or_default();
        self.set(name, first.parse().map_err(|_| Refusal::Invalid)?)
    }
}

fn store(field: &mut i32, value: i32, low: i32, high: i32) -> Result<(), Refusal> {
    if value < low || value > high {
        return Err(Refusal::Invalid);
    }
    *field = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_what_was_set() {
        for name in Sysctls::NAMES {
            let mut sysctls = Sysctls::default();
            let other = if *name == "sync_ports" { 2 } else { i32::from(sysctls.get(name) != Some(1)) };
            sysctls.set_text(&format!("net.ipv4.vs.{name}"), &other.to_string()).unwrap();
            assert_eq!(sysctls.get(name), Some(other), "{name}");
            assert_ne!(sysctls, Sysctls::default(), "{name}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let mut sysctls = Sysctls::default();
        assert_eq!(sysctls.set_text("net.ipv4.vs.nosuch", "1"), Err(Refusal::NoEntry));
        assert_eq!(sysctls.set_text("drop_entry", "4"), Err(Refusal::Invalid));
        assert_eq!(sysctls.set_text("drop_entry", "x"), Err(Refusal::Invalid));
        assert_eq!(sysctls, Sysctls::default());
    }
}
