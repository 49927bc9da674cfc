//! What `lvsd status`, `lvsd health`, `lvsd drops`, `lvsd sysctl` and `lvsd mark list` print.

mod health;

mod vrrp;

use std::fmt::Write as _;

use crate::mark::MarkRule;
use crate::message::{CacheListing, DropListing, Reloaded, Response, Status, SysctlListing};

/// Anything for a program to read: JSON, on one line.
pub fn json_of(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).map(|line| line + "\n").unwrap_or_default()
}

/// A response for a program to read: JSON, on one line.
pub fn json(response: &Response) -> String {
    let text = if let Response::Status(status) = response {
        serde_json::to_string(status)
    } else if let Response::Drops { drops } = response {
        serde_json::to_string(drops)
    } else if let Response::Sysctls { sysctls } = response {
        serde_json::to_string(sysctls)
    } else if let Response::Health { virtual_servers } = response {
        serde_json::to_string(virtual_servers)
    } else if let Response::Vrrp(listing) = response {
        serde_json::to_string(listing)
    } else if let Response::Reloaded(reloaded) = response {
        serde_json::to_string(reloaded)
    } else if let Response::Marks { rules } = response {
        serde_json::to_string(rules)
    } else if let Response::Totals(totals) = response {
        serde_json::to_string(totals)
    } else if let Response::Services { services } = response {
        serde_json::to_string(services)
    } else if let Response::Connections { connections } = response {
        serde_json::to_string(connections)
    } else {
        serde_json::to_string(response)
    };
    // Nothing in these types can fail to be written.
    text.unwrap_or_default() + "\n"
}

/// A response for a person to read.
pub fn text(response: &Response) -> String {
    if let Response::Status(status) = response {
        status_text(status)
    } else if let Response::Drops { drops } = response {
        drops_text(drops)
    } else if let Response::Sysctls { sysctls } = response {
        sysctls_text(sysctls)
    } else if let Response::Health { virtual_servers } = response {
        health::text(virtual_servers)
    } else if let Response::Vrrp(listing) = response {
        vrrp::text(listing)
    } else if let Response::Reloaded(reloaded) = response {
        let Reloaded { changes, services, routers, milliseconds, .. } = reloaded;
        format!(
            "reloaded in {milliseconds} ms: {services} virtual services, {routers} virtual routers; \
             {changes} changes of services and servers\n"
        )
    } else if let Response::Marks { rules } = response {
        marks_text(rules)
    } else {
        json(response)
    }
}

fn status_text(status: &Status) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "lvsd, process {}, up {}", status.pid, uptime(status.uptime));
    for interface in &status.interfaces {
        let plural = if interface.queues == 1 { "" } else { "s" };
        let _ = writeln!(
            text,
            "interface    {:<15} {} XDP, {} queue{plural}",
            interface.name, interface.mode, interface.queues
        );
        if let Some(why) = &interface.not_cached {
            let _ = writeln!(text, "             established connections leave here by AF_XDP: {why}");
        } else if status.cache.is_some() {
            let _ = writeln!(text, "             established connections leave here by the XDP program");
        }
    }
    let _ = writeln!(text, "connections  {}", status.connections);
    let _ = writeln!(text, "templates    {}", status.templates);
    if let Some(cache) = &status.cache {
        text.push_str(&cache_text(cache));
    }
    let _ = writeln!(text, "packets      {} received", status.received);
    for (count, what) in [
        (status.forwarded, "forwarded"),
        (status.to_host, "handed to the host"),
        (status.dropped, "dropped (lvsd drops says why)"),
        (status.held, "waiting"),
    ] {
        let _ = writeln!(text, "           = {count} {what}");
    }
    let _ = writeln!(text, "             {} of the director's own", status.originated);
    let sum = status.forwarded + status.to_host + status.dropped + status.held;
    if sum != status.received {
        let _ = writeln!(text, "             (counted while packets came: {sum} so far)");
    }
    text
}

fn cache_text(cache: &CacheListing) -> String {
    let CacheListing { flows, size, size_ipv6, .. } = cache;
    let mut text = format!("flow cache   {flows} flows, room for {size} of IPv4 and {size_ipv6} of IPv6\n");
    let _ = writeln!(text, "             {} packets forwarded by the XDP program", cache.forwarded);
    let left: Vec<String> = cache
        .left
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(why, count)| format!("{count} {why}"))
        .collect();
    if !left.is_empty() {
        let _ = writeln!(text, "             left to the workers: {}", left.join(", "));
    }
    if !cache.kept.is_empty() {
        let _ = writeln!(text, "             kept after a crash {}", cache.kept);
    }
    text
}

fn drops_text(drops: &[DropListing]) -> String {
    let mut text = String::new();
    let mut seen: Vec<&DropListing> = drops.iter().filter(|drop| drop.packets > 0).collect();
    seen.sort_by_key(|drop| std::cmp::Reverse(drop.packets));
    if seen.is_empty() {
        return "nothing was dropped\n".to_owned();
    }
    let _ = writeln!(text, "{:>12}  {:<20}  why", "packets", "reason");
    for drop in seen {
        let _ = writeln!(text, "{:>12}  {:<20}  {}", drop.packets, drop.reason, drop.meaning);
    }
    text
}

/// As `sysctl` prints them; a note stands behind its value as a comment.
fn sysctls_text(sysctls: &[SysctlListing]) -> String {
    let mut text = String::new();
    for SysctlListing { name, value, note } in sysctls {
        let _ = match note {
            Some(note) => writeln!(text, "{name} = {value}  # {note}"),
            None => writeln!(text, "{name} = {value}"),
        };
    }
    text
}

/// Each rule with its number, in the words that `lvsd mark add` takes.
fn marks_text(rules: &[MarkRule]) -> String {
    let mut text = String::new();
    for (number, rule) in (1..).zip(rules) {
        let _ = writeln!(text, "{number:>4}  {rule}");
    }
    if rules.is_empty() { "no packet is marked\n".to_owned() } else { text }
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(reason: &str, packets: u64) -> DropListing {
        DropListing { reason: reason.to_owned(), meaning: "Why.".to_owned(), packets }
    }

    #[test]
    fn only_what_was_dropped_is_shown_the_most_frequent_first() {
        let text = drops_text(&[drop("no-server", 1), drop("truncated", 0), drop("table-full", 5)]);
        let reasons: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(reasons, ["table-full", "no-server"]);
    }

    #[test]
    fn json_holds_every_reason() {
        let drops = vec![drop("no-server", 1), drop("truncated", 0)];
        assert!(json(&Response::Drops { drops }).contains("truncated"));
    }

    #[test]
    fn a_note_stands_behind_its_value() {
        let listing = |name: &str, note: Option<&str>| SysctlListing {
            name: name.to_owned(),
            value: "1".to_owned(),
            note: note.map(str::to_owned),
        };
        let text =
            sysctls_text(&[listing("net.ipv4.vs.a", None), listing("net.ipv4.vs.b", Some("no effect"))]);
        assert_eq!(text, "net.ipv4.vs.a = 1\nnet.ipv4.vs.b = 1  # no effect\n");
    }

    #[test]
    fn uptime_is_told_in_two_units() {
        assert_eq!(uptime(59), "59 s");
        assert_eq!(uptime(3 * 3600 + 120), "3 h 2 min");
        assert_eq!(uptime(2 * 86400 + 3600), "2 d 1 h");
    }
}
