//! `ip_vs_stats` and `ip_vs_stats_percpu`: the counters of all services together, in hexadecimal digits
//! (`ip_vs_stats_show`, `ip_vs_stats_percpu_show`).

use std::fmt::Write as _;

use crate::message::{Stats, Totals};

pub(super) fn text(totals: &Totals) -> String {
    let mut text = String::from(
        "   Total Incoming Outgoing         Incoming         Outgoing\n   \
            Conns  Packets  Packets            Bytes            Bytes\n",
    );
    let _ = writeln!(text, "{}\n", counted(&totals.total));
    text.push_str(" Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n");
    let _ = writeln!(text, "{}", rates(&totals.total));
    text
}

pub(super) fn by_worker(totals: &Totals) -> String {
    let mut text = String::from(
        "       Total Incoming Outgoing         Incoming         Outgoing\n\
         CPU    Conns  Packets  Packets            Bytes            Bytes\n",
    );
    for (number, worker) in totals.workers.iter().enumerate() {
        let _ = writeln!(text, "{number:>3X} {}", counted(worker));
    }
    let _ = writeln!(text, "  ~ {}\n", counted(&totals.total));
    text.push_str("     Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n");
    let _ = writeln!(text, "    {}", rates(&totals.total));
    text
}

fn counted(s: &Stats) -> String {
    row([s.conns, s.in_packets, s.out_packets, s.in_bytes, s.out_bytes])
}

fn rates(s: &Stats) -> String {
    row([s.cps, s.in_pps, s.out_pps, s.in_bps, s.out_bps])
}

fn row([conns, in_packets, out_packets, in_bytes, out_bytes]: [u64; 5]) -> String {
    format!("{conns:>8X} {in_packets:>8X} {out_packets:>8X} {in_bytes:>16X} {out_bytes:>16X}")
}
