//! An operator's own scripts, run as they stand with lvsadm in the place of `/usr/sbin/ipvsadm`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should end")]

mod net;

use std::fs;

use net::process::{Finished, run_here};
use net::{LVSADM, Net, PATIENCE, test_file};

/// Runs shell text on a host, where `/usr/sbin/ipvsadm` is lvsadm and `/etc` a copy that has `sysconfig`; both
/// only for this text, in a mount namespace of its own.
fn shell(net: &Net, host: &str, text: &str) -> Finished {
    let etc = net.files.join("etc");
    if !etc.exists() {
        run_here(&["cp", "-a", "/etc", etc.to_str().unwrap()], PATIENCE).good();
        fs::create_dir_all(etc.join("sysconfig")).unwrap();
    }
    let prepared = format!(
        "mount --bind {LVSADM} /usr/sbin/ipvsadm && mount --bind {} /etc || exit 99\n{text}",
        etc.display()
    );
    net.run(host, &["unshare", "--mount", "--propagation", "private", "bash", "-c", &prepared])
}

fn script(net: &Net, host: &str, name: &str) {
    shell(net, host, &format!("bash {}", test_file("site").join(name).display())).good();
}

/// How often each server answered, in the order of their names.
fn shares(mut answers: Vec<String>) -> Vec<(String, usize)> {
    answers.sort();
    let mut shares: Vec<(String, usize)> = Vec::new();
    for answer in answers {
        match shares.last_mut().filter(|(name, _)| *name == answer) {
            Some((_, count)) => *count += 1,
            None => shares.push((answer, 1)),
        }
    }
    shares
}

fn each(count: usize) -> Vec<(String, usize)> {
    vec![("rs1".to_owned(), count), ("rs2".to_owned(), count)]
}

#[test]
#[ignore = "needs root"]
fn the_direct_routing_scripts_work_as_they_stand() {
    let mut net = Net::new();
    net.add(&["switch", "client", "director", "rs1", "rs2"]);
    net.bridge("switch", "lan");
    let lan = ("switch", "lan");
    net.plug("client", "eth0", lan, &["192.168.91.10/24"]);
    net.plug("director", "ens33", lan, &["192.168.91.141/24"]);
    for (server, address) in [("rs1", "192.168.91.146/24"), ("rs2", "192.168.91.147/24")] {
        net.plug(server, "ens33", lan, &[address]);
        script(&net, server, "lvs_dr_rs.sh");
        net.nginx(server);
    }
    net.run_director(&["ens33"]);
    // Twice, as after a reboot of nothing but the director: the same table.
    for _ in 0..2 {
        script(&net, "director", "lvs_dr.sh");
        let listing = shell(&net, "director", "ipvsadm -Ln").good();
        assert!(listing.contains("TCP  192.168.91.148:80 wrr\n"), "{listing}");
        assert_eq!(listing.matches("Route   1").count(), 2, "{listing}");
        assert_eq!(shares(net.curls("client", "http://192.168.91.148/", 6)), each(3));
    }
    net.assert_balanced();
}

#[test]
#[ignore = "needs root"]
fn the_nat_script_works_as_it_stands() {
    let mut net = Net::new();
    net.add(&["router", "client", "director", "rs1", "rs2"]);
    // Director and servers share a link, so the client must be elsewhere: its answers then pass the servers'
    // gateway, the director.
    net.bridge("router", "lan");
    net.bridge("router", "far");
    net.ip("router", "addr add 192.168.91.1/24 dev lan\naddr add 10.92.0.1/24 dev far\n");
    net.host("router").sysctl("ipv4/ip_forward", "1").unwrap();
    net.plug("client", "eth0", ("router", "far"), &["10.92.0.10/24"]);
    net.ip("client", "route add default via 10.92.0.1\n");
    net.plug("director", "ens33", ("router", "lan"), &["192.168.91.141/24"]);
    net.ip("director", "route add default via 192.168.91.1\n");
    for (server, address) in [("rs1", "192.168.91.142/24"), ("rs2", "192.168.91.143/24")] {
        net.plug(server, "ens33", ("router", "lan"), &[address]);
        net.ip(server, "route add default via 192.168.91.141\n");
        net.nginx(server);
    }
    net.run_director(&["ens33"]);
    script(&net, "director", "lvs_nat.sh");
    assert_eq!(shares(net.curls("client", "http://192.168.91.141/", 6)), each(3));
    net.assert_balanced();
}

#[test]
#[ignore = "needs root"]
fn the_commands_typed_by_hand_work_as_they_stand() {
    let text = fs::read_to_string(test_file("site/by-hand.txt")).unwrap();
    let sites: Vec<&str> = text.split("\n\n").collect();
    let mut net = Net::new();
    net.add(&["switch", "client", "director", "rs1", "rs2"]);
    net.bridge("switch", "outside");
    net.bridge("switch", "inside");
    net.plug("client", "eth0", ("switch", "outside"), &["192.168.91.10/24"]);
    net.ip(
        "client",
        "route add 172.18.100.100 via 192.168.91.141\nroute add 192.168.25.10 via 192.168.91.141\n",
    );
    let outside = ["192.168.91.141/24", "172.18.100.100/32", "192.168.25.10/32"];
    net.plug("director", "ens33", ("switch", "outside"), &outside);
    net.plug("director", "ens37", ("switch", "inside"), &["192.168.81.141/24", "192.168.25.254/24"]);
    for (server, addresses) in
        [("rs1", ["192.168.25.1/24", "192.168.25.88/24"]), ("rs2", ["192.168.25.2/24", "192.168.25.99/24"])]
    {
        net.plug(server, "eth0", ("switch", "inside"), &addresses);
        net.ip(server, "route add default via 192.168.25.254\n");
        net.nginx(server);
    }
    net.run_director(&["ens33", "ens37"]);
    let typed = |site: usize| sites[site].lines().filter(|line| !line.starts_with('#'));

    for line in typed(0) {
        let done = shell(&net, "director", line);
        if line.contains("-m -w 1 -g") {
            // ipvsadm itself refuses two ways of forwarding.
            assert_eq!(done.status, Some(2), "{line}: {done:?}");
            assert_eq!(done.err, "multiple 'forwarding-method' options specified\n");
        } else {
            done.good();
        }
    }
    let saved = fs::read_to_string(net.files.join("etc/sysconfig/ipvsadm")).unwrap();
    assert_eq!(saved, "-A -t 192.168.91.141:http -s wrr -p 120\n");

    for line in typed(1) {
        if line.starts_with("ipvsadm") {
            shell(&net, "director", line).good();
            continue;
        }
        let said = net.run("client", &["bash", "-c", line]).good();
        let answers: Vec<&str> = said.lines().collect();
        assert_eq!(answers.len(), 10, "{answers:?}");
        assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "not strictly in turn: {answers:?}");
    }

    for line in typed(2) {
        shell(&net, "director", line).good();
    }
    let thirds = vec![("rs1".to_owned(), 6), ("rs2".to_owned(), 3)];
    assert_eq!(shares(net.curls("client", "http://192.168.25.10/", 9)), thirds);

    let (table, numbers) = ("ipvsadm --save -n", "ipvsadm -Ln");
    let before = [table, numbers].map(|command| shell(&net, "director", command).good());
    assert_eq!(before[0].lines().count(), 7, "{}", before[0]);
    shell(&net, "director", "ipvsadm --save > /etc/saved && ipvsadm -C").good();
    assert_eq!(shell(&net, "director", table).good(), "");
    shell(&net, "director", "ipvsadm --restore < /etc/saved").good();
    assert_eq!(shell(&net, "director", table).good(), before[0]);
    assert_eq!(shell(&net, "director", numbers).good().lines().count(), before[1].lines().count());
    net.assert_balanced();
}
