//! The virtual routers as a table, and what is behind each line.

use std::fmt::Write as _;

use crate::message::{VrrpInstance, VrrpListing, VrrpReject};

pub(super) fn text(listing: &VrrpListing) -> String {
    if listing.instances.is_empty() {
        return "there are no virtual routers\n".to_owned();
    }
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<16} {:<10} {:>3} {:>2} {:<6} {:>8}  {:>10}  {:<22} why",
        "instance", "interface", "id", "v", "state", "priority", "since", "master"
    );
    for instance in &listing.instances {
        line(&mut text, instance);
    }
    for group in &listing.groups {
        let _ = writeln!(text, "group {:<10} {:<6} {}", group.name, group.state, group.members.join(" "));
    }
    for instance in &listing.instances {
        details(&mut text, instance);
    }
    if !listing.strangers.is_empty() {
        let _ = writeln!(text, "\nof no instance");
        rejects(&mut text, &listing.strangers);
    }
    text
}

fn line(text: &mut String, instance: &VrrpInstance) {
    let priority = if instance.priority == instance.effective_priority {
        instance.priority.to_string()
    } else {
        format!("{}->{}", instance.priority, instance.effective_priority)
    };
    let master = match (instance.master, instance.master_priority) {
        (Some(master), Some(priority)) => format!("{master} ({priority})"),
        _ if instance.state == "MASTER" => "this router".to_owned(),
        _ => "-".to_owned(),
    };
    let _ = writeln!(
        text,
        "{:<16} {:<10} {:>3} {:>2} {:<6} {:>8}  {:>10}  {:<22} {}",
        instance.name,
        instance.interface,
        instance.virtual_router_id,
        instance.version,
        instance.state,
        priority,
        since(instance.since),
        master,
        instance.cause
    );
}

fn details(text: &mut String, instance: &VrrpInstance) {
    let _ = writeln!(text, "\n{}", instance.name);
    let addresses: Vec<String> = instance.addresses.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "  addresses  {} ({} held here)", addresses.join(" "), instance.held);
    let source = instance.source.map_or_else(|| "none".to_owned(), |source| source.to_string());
    let _ = writeln!(
        text,
        "  adverts    from {source} every {} ms; a master is given up after {} ms",
        instance.advert_interval, instance.down_interval
    );
    let _ = writeln!(
        text,
        "             {} sent ({} of priority 0), {} received ({} of priority 0)",
        instance.sent, instance.zero_sent, instance.received, instance.zero_received
    );
    let _ = writeln!(
        text,
        "             checksum with pseudo-header {}, without {}",
        instance.checksum_with_pseudo_header, instance.checksum_without
    );
    let _ = writeln!(
        text,
        "  master     became {} times, released {} times",
        instance.became_master, instance.released_master
    );
    for fault in &instance.faults {
        let _ = writeln!(text, "  fault      {fault}");
    }
    rejects(text, &instance.rejects);
}

fn rejects(text: &mut String, rejects: &[VrrpReject]) {
    for reject in rejects {
        let _ =
            writeln!(text, "  rejected   {:>8}  {:<22} {}", reject.adverts, reject.reason, reject.meaning);
    }
}

fn since(millis: u64) -> String {
    match millis / 1000 {
        0 => format!("{millis} ms"),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_a_router_is_since_when_and_why() {
        let instance = VrrpInstance {
            name: "VI_1".to_owned(),
            state: "BACKUP".to_owned(),
            priority: 100,
            effective_priority: 80,
            since: 5000,
            cause: "10.0.0.2 has priority 90".to_owned(),
            master: "10.0.0.2".parse().ok(),
            master_priority: Some(90),
            faults: vec!["interface eth1 is down".to_owned()],
            rejects: vec![VrrpReject {
                reason: "password".to_owned(),
                meaning: "The password is wrong.".to_owned(),
                adverts: 3,
            }],
            ..VrrpInstance::default()
        };
        let listing = VrrpListing { instances: vec![instance], ..VrrpListing::default() };
        let text = text(&listing);
        for word in
            ["100->80", "5 s", "10.0.0.2 (90)", "10.0.0.2 has priority 90", "eth1 is down", "password"]
        {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert_eq!(super::text(&VrrpListing::default()), "there are no virtual routers\n");
    }
}
