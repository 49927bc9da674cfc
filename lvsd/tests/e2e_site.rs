//! Sites as their administrators set them up: their own scripts and command lines, as they stand in `site/`, with
//! `/usr/sbin/ipvsadm` being lvsadm. What `lvsd host` sets up is the same without them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fs;

use net::site::run_script;
use net::{LVSD, Net, test_file};

/// The command lines of one of the sites in `by-hand.txt`: its paragraphs, in their order.
fn by_hand(paragraph: usize) -> Vec<String> {
    let text = fs::read_to_string(test_file("site/by-hand.txt")).unwrap();
    let lines = text.split("\n\n").nth(paragraph).unwrap().lines();
    lines.filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// Types command lines on a host; each line with what it said and how it ended.
fn type_lines(net: &Net, host: &str, lines: &[String]) -> Vec<(String, String, i32)> {
    const MARK: &str = "=== status ";
    let script = net.files.join("typed.sh");
    let mut typed = String::new();
    for line in lines {
        typed.extend([line.as_str(), "\necho \"", MARK, "$?\"\n"]);
    }
    fs::write(&script, format!("exec 2>&1\n{typed}")).unwrap();
    let said = run_script(net, host, &script);
    let mut results = Vec::new();
    let mut so_far = String::new();
    for line in said.out.lines() {
        if let Some(status) = line.strip_prefix(MARK) {
            results.push((
                lines[results.len()].clone(),
                std::mem::take(&mut so_far),
                status.parse().unwrap(),
            ));
        } else {
            so_far.extend([line, "\n"]);
        }
    }
    assert_eq!(results.len(), lines.len(), "{said:?}");
    results
}

fn assert_all_good(results: &[(String, String, i32)]) {
    for (line, said, status) in results {
        assert_eq!(*status, 0, "{line}: {said}");
    }
}

/// A switch with a router on it, and a client behind the router.
fn behind_a_router(router: &str) -> Net {
    let mut net = Net::new();
    net.add(&["switch", "router", "client", "director"]);
    net.bridge("switch", "lan");
    net.bridge("switch", "outside");
    net.host("router").sysctl("ipv4/ip_forward", "1").unwrap();
    net.plug("router", "lan", ("switch", "lan"), &[router]);
    net.plug("router", "outside", ("switch", "outside"), &["203.0.113.1/24"]);
    net.plug("client", "eth0", ("switch", "outside"), &["203.0.113.10/24"]);
    net.ip("client", "route add default via 203.0.113.1\n");
    net
}

fn server(net: &mut Net, name: &str, interface: &str, bridge: &str, address: &str, gateway: &str) {
    net.add(&[name]);
    net.plug(name, interface, ("switch", bridge), &[address]);
    net.ip(name, &format!("route add default via {gateway}\n"));
    net.nginx(name);
}

fn without_length(address: &str) -> &str {
    address.split('/').next().unwrap()
}

#[test]
#[ignore = "needs root"]
fn the_script_for_nat_works_as_it_stands() {
    let mut net = behind_a_router("192.168.91.1/24");
    net.plug("director", "ens33", ("switch", "lan"), &["192.168.91.141/24"]);
    net.ip("director", "route add default via 192.168.91.1\n");
    // The real servers are on the service's own network; what they answer must pass the director all the same.
    server(&mut net, "rs1", "ens33", "lan", "192.168.91.142/24", "192.168.91.141");
    server(&mut net, "rs2", "ens33", "lan", "192.168.91.143/24", "192.168.91.141");
    net.run_director(&["ens33"]);

    run_script(&net, "director", &test_file("site/lvs_nat.sh")).good();
    let listing = net.adm("-Ln");
    for line in
        ["TCP  192.168.91.141:80 wrr", "  -> 192.168.91.142:80            Masq    1      0          0"]
    {
        assert!(listing.contains(line), "{line} is missing in\n{listing}");
    }
    let mut answers = net.curls("client", "http://192.168.91.141/", 10);
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{answers:?}");
    answers.sort();
    assert_eq!(answers, [vec!["rs1"; 5], vec!["rs2"; 5]].concat());
    // Once more over the same state, as an administrator does.
    run_script(&net, "director", &test_file("site/lvs_nat.sh")).good();
    assert_eq!(net.curls("client", "http://192.168.91.141/", 2).len(), 2);
    net.assert_balanced();
    net.stop_director();
}

fn direct_routing_site() -> Net {
    let mut net = behind_a_router("192.168.91.1/24");
    net.add(&["neighbour"]);
    net.plug("neighbour", "ens33", ("switch", "lan"), &["192.168.91.10/24"]);
    net.plug("director", "ens33", ("switch", "lan"), &["192.168.91.141/24"]);
    net.ip("director", "route add default via 192.168.91.1\n");
    server(&mut net, "rs1", "ens33", "lan", "192.168.91.146/24", "192.168.91.1");
    server(&mut net, "rs2", "ens33", "lan", "192.168.91.147/24", "192.168.91.1");
    net
}

fn assert_direct_routing_works(net: &Net) {
    for client in ["client", "neighbour"] {
        let mut answers = net.curls(client, "http://192.168.91.148/", 10);
        answers.sort();
        assert_eq!(answers, [vec!["rs1"; 5], vec!["rs2"; 5]].concat(), "{client}");
    }
}

#[test]
#[ignore = "needs root"]
fn the_scripts_for_direct_routing_work_as_they_stand() {
    let mut net = direct_routing_site();
    net.run_director(&["ens33"]);
    for host in ["rs1", "rs2"] {
        run_script(&net, host, &test_file("site/lvs_dr_rs.sh")).good();
    }
    run_script(&net, "director", &test_file("site/lvs_dr.sh")).good();
    assert_direct_routing_works(&net);
    let listing = net.adm("-Ln");
    assert!(listing.contains("  -> 192.168.91.146:80            Route   1      0          "), "{listing}");
    run_script(&net, "director", &test_file("site/lvs_dr.sh")).good();
    assert_direct_routing_works(&net);
    net.assert_balanced();
    net.stop_director();
}

/// What differs between the state a script leaves and the one `lvsd host` leaves, each from the same beginning.
fn difference(net: &Net, host: &str, script: &str, undo: &str, command: &[&str]) -> Vec<String> {
    let before = net.snapshot(host);
    run_script(net, host, &test_file(script)).good();
    let by_script = net.snapshot(host);
    assert!(!before.0.difference(&by_script.0).is_empty());
    net.run(host, &["bash", "-c", undo]).good();
    net.assert_unchanged(host, &before);
    let journal = net.files.join(format!("{host}-journal")).display().to_string();
    let mut apply = vec![LVSD, "host", command[0], "apply", "--journal", &journal];
    apply.extend(&command[1..]);
    net.run(host, &apply).good();
    by_script.0.difference(&net.snapshot(host).0)
}

#[test]
#[ignore = "needs root"]
fn what_lvsd_sets_up_is_what_the_scripts_set_up() {
    let mut net = direct_routing_site();
    net.run_director(&["ens33"]);
    let undo = "ip addr del 192.168.91.148/32 dev ens33; ip route del 192.168.91.148 2>/dev/null
                echo 0 > /proc/sys/net/ipv4/ip_forward";
    let command = ["director", "--vip", "192.168.91.148", "--dev", "ens33", "--label", "ens33:0"];
    let difference_of_director = difference(&net, "director", "site/lvs_dr.sh", undo, &command);
    // The script forgets that a director must not tell clients of a shorter way; `by-hand.txt` does not.
    let redirects = |line: &String| line.contains("/send_redirects=");
    let (redirects, rest): (Vec<_>, Vec<_>) = difference_of_director.into_iter().partition(redirects);
    assert_eq!(rest, Vec::<String>::new());
    assert!(
        redirects.iter().any(|line| line.contains("+ ") && line.contains("all/send_redirects=0")),
        "{redirects:?}"
    );

    let undo = "ip addr del 192.168.91.148/32 dev lo; ip route del 192.168.91.148 2>/dev/null
                for of in all lo; do
                    echo 0 > /proc/sys/net/ipv4/conf/$of/arp_ignore
                    echo 0 > /proc/sys/net/ipv4/conf/$of/arp_announce
                done";
    let command = ["real-server", "--mode", "dr", "--vip", "192.168.91.148", "--label", "lo:0"];
    for host in ["rs1", "rs2"] {
        let difference = difference(&net, host, "site/lvs_dr_rs.sh", undo, &command);
        assert_eq!(difference, Vec::<String>::new());
    }
    // The services are still those of the script; the hosts are now lvsd's work.
    assert_direct_routing_works(&net);
    net.assert_balanced();
    net.stop_director();
}

#[test]
#[ignore = "needs root"]
fn the_command_lines_typed_by_hand_work_and_the_table_can_be_saved_and_restored() {
    let mut net = behind_a_router("192.168.91.1/24");
    net.bridge("switch", "inside");
    net.plug("director", "ens33", ("switch", "lan"), &["192.168.91.141/24"]);
    net.plug("director", "ens37", ("switch", "inside"), &["192.168.81.141/24"]);
    net.ip("director", "route add default via 192.168.91.1\n");
    server(&mut net, "rs1", "ens33", "inside", "192.168.81.142/24", "192.168.81.141");
    net.run_director(&["ens33", "ens37"]);

    let mut lines = by_hand(0);
    let refused = lines.iter().position(|line| line.contains("-m -w 1 -g")).unwrap();
    let results = type_lines(&net, "director", &lines);
    let (line, said, status) = &results[refused];
    assert_eq!(*status, 2, "{line}: {said}");
    assert_eq!(said.trim_end(), "multiple 'forwarding-method' options specified", "{line}");
    assert_all_good(&results[..refused]);
    assert_all_good(&results[refused + 1..]);
    assert!(results.last().unwrap().1.contains("wrr persistent 120"), "{results:?}");

    // What was meant: one method. Then it serves, and the inside is masqueraded by the host.
    lines[refused] = lines[refused].replace(" -g", "");
    lines.retain(|line| !line.starts_with("iptables"));
    assert_all_good(&type_lines(&net, "director", &lines));
    assert_eq!(net.curls("client", "http://192.168.91.141/", 3), vec!["rs1"; 3]);
    net.run("rs1", &["ping", "-c", "1", "-W", "2", "203.0.113.10"]).good();
    assert_saved_and_restored(&net);
    net.assert_balanced();
    net.stop_director();
}

/// `--save`, `-C`, `--restore`: the table is what it was.
fn assert_saved_and_restored(net: &Net) {
    let script = net.files.join("save.sh");
    let text = "set -e\n\
                ipvsadm -Ln; echo; ipvsadm -Sn\n\
                ipvsadm --save > /etc/sysconfig/ipvsadm\n\
                echo CUT; ipvsadm -C; ipvsadm -Sn; echo CUT\n\
                ipvsadm --restore < /etc/sysconfig/ipvsadm\n\
                ipvsadm -Ln; echo; ipvsadm -Sn\n";
    fs::write(&script, text).unwrap();
    let said = run_script(net, "director", &script).good();
    let parts: Vec<&str> = said.split("CUT\n").collect();
    let [before, cleared, after] = parts[..] else { panic!("{said}") };
    assert_eq!(cleared, "");
    assert!(before.contains("-A -t ") && before.contains("-a -t "), "{before}");
    // Connections are not saved: the counts are of those there are.
    let tables = [before, after].map(|text| text.lines().map(without_counts).collect::<Vec<_>>());
    assert_eq!(tables[0], tables[1]);
}

/// A server's line without its connections.
fn without_counts(line: &str) -> &str {
    if line.starts_with("  -> ") { line.get(..50).unwrap_or(line).trim_end() } else { line }
}

fn nat_site(vip: &str, inside: &str, servers: [(&str, &str); 2], has_inside_of_its_own: bool) -> Net {
    let router = format!("{}.254/24", vip.rsplit_once('.').unwrap().0);
    let mut net = behind_a_router(&router);
    net.plug("director", "ens33", ("switch", "lan"), &[&format!("{vip}/24")]);
    net.ip("director", &format!("route add default via {}\n", without_length(&router)));
    let bridge = if has_inside_of_its_own { "inside" } else { "lan" };
    if has_inside_of_its_own {
        net.bridge("switch", "inside");
        net.plug("director", "ens37", ("switch", "inside"), &[&format!("{inside}/24")]);
    }
    for (name, address) in servers {
        server(&mut net, name, "ens33", bridge, &format!("{address}/24"), inside);
    }
    net.host("director").sysctl("ipv4/ip_forward", "1").unwrap();
    net.host("director").sysctl("ipv4/conf/all/send_redirects", "0").unwrap();
    net.run_director(if has_inside_of_its_own { &["ens33", "ens37"] } else { &["ens33"] });
    net
}

#[test]
#[ignore = "needs root"]
fn the_second_site_answers_strictly_in_turn() {
    let servers = [("RS1", "192.168.25.1"), ("RS2", "192.168.25.2")];
    let mut net = nat_site("172.18.100.100", "192.168.25.254", servers, true);
    let lines = by_hand(1);
    let (typed, asked) = lines.split_at(lines.iter().position(|line| line.starts_with("for ")).unwrap());
    let results = type_lines(&net, "director", typed);
    assert_all_good(&results);
    assert!(
        results.last().unwrap().1.contains("-> 192.168.25.2:80              Masq    1      0          0")
    );
    let results = type_lines(&net, "client", asked);
    assert_all_good(&results);
    let answers: Vec<&str> = results[0].1.lines().filter(|line| line.starts_with("RS")).collect();
    // The newest server stands first.
    let turn = answers[0] == "RS2";
    let expected: Vec<&str> = (0..10).map(|n| if (n % 2 == 0) == turn { "RS2" } else { "RS1" }).collect();
    assert_eq!(answers, expected);
    assert_saved_and_restored(&net);
    net.assert_balanced();
    net.stop_director();
}

#[test]
#[ignore = "needs root"]
fn the_weighted_site_gives_two_thirds_to_the_first() {
    let servers = [("first", "192.168.25.88"), ("second", "192.168.25.99")];
    let mut net = nat_site("192.168.25.10", "192.168.25.10", servers, false);
    assert_all_good(&type_lines(&net, "director", &by_hand(2)));
    let mut answers = net.curls("client", "http://192.168.25.10/", 12);
    for cycle in answers.chunks(3) {
        assert_eq!(cycle.iter().filter(|name| *name == "first").count(), 2, "{answers:?}");
    }
    answers.sort();
    assert_eq!(answers, [vec!["first"; 8], vec!["second"; 4]].concat());
    assert_saved_and_restored(&net);
    net.assert_balanced();
    net.stop_director();
}
