//! A lookup in the view answers as `ip route get` does.

use lvs_netcfg::HostView;

use crate::namespace::Namespace;

/// What `ip route get` says: interface, next hop and source; none when the kernel refuses.
fn asked(host: &Namespace, ip: &str) -> Option<(String, String, String)> {
    let said = host.sh(&format!("ip -o route get {ip} 2>/dev/null || true"));
    let words: Vec<&str> = said.split_whitespace().collect();
    let after = |word: &str| {
        let at = words.iter().position(|found| *found == word)?;
        words.get(at + 1).map(|&found| found.to_owned())
    };
    let refused = ["unreachable", "prohibit", "blackhole", "broadcast", "multicast"];
    if words.first().is_none_or(|first| refused.contains(first)) {
        return None;
    }
    let local = words[0] == "local";
    let hop = after("via").filter(|_| !local).unwrap_or_else(|| ip.to_owned());
    // For a local address the kernel names the loopback, the route the interface that holds it.
    let interface = if local { "local".to_owned() } else { after("dev")? };
    Some((interface, hop, after("src").unwrap_or_default()))
}

fn looked_up(view: &HostView, ip: &str) -> Option<(String, String, String)> {
    let hop = view.lookup(ip.parse().unwrap())?;
    let name = view.interface(hop.ifindex).unwrap().name.clone();
    let interface = if hop.is_local { "local".to_owned() } else { name };
    let source = hop.source.map(|source| source.to_string()).unwrap_or_default();
    Some((interface, hop.next_hop.to_string(), source))
}

#[test]
#[ignore = "needs root"]
fn the_view_finds_the_same_way_as_the_kernel() {
    let outside = Namespace::new();
    let host = Namespace::joined(
        &outside,
        &[
            ("ens33", "192.168.91.141/24", "192.168.91.1/24"),
            ("ens37", "192.168.81.141/24", "192.168.81.142/24"),
        ],
    );
    host.sh("ip addr add 192.168.91.148/32 dev ens33
         ip addr add 192.168.91.200/24 dev ens33
         ip addr add 10.5.5.5/32 dev lo
         ip route add default via 192.168.91.1
         ip route add 10.0.0.0/8 via 192.168.81.142
         ip route add 10.1.0.0/16 via 192.168.91.7 metric 50
         ip route add 10.1.0.0/16 via 192.168.81.9 metric 40
         ip route add 10.2.0.0/16 dev ens37
         ip route add 10.3.0.0/16 via 192.168.81.142 src 192.168.91.200
         ip route add blackhole 10.66.0.0/16
         ip route add unreachable 10.67.0.0/16
         ip route add prohibit 10.68.0.0/16
         ip route add throw 10.69.0.0/16
         ip route add 10.4.0.0/16 nexthop via 192.168.81.142 dev ens37
         ip -6 addr add fd91::141/64 dev ens33
         ip -6 addr add fd81::141/64 dev ens37
         ip -6 addr add fd00::5/128 dev lo
         ip -6 route add default via fd91::1
         ip -6 route add fd10::/16 via fd81::142
         ip -6 route add fd10:1::/32 via fd91::7 metric 2000
         ip -6 route add fd10:1::/32 via fd81::9 metric 900
         ip -6 route add fd20::/16 dev ens37
         ip -6 route add unreachable fd66::/16
         ip -6 route add 2001:db8::/32 via fe80::99 dev ens37");
    let questions = [
        "192.168.91.1",
        "192.168.91.141",
        "192.168.91.148",
        "192.168.91.200",
        "192.168.91.255",
        "192.168.81.9",
        "8.8.8.8",
        "10.0.0.1",
        "10.1.0.1",
        "10.2.0.1",
        "10.3.0.1",
        "10.4.0.1",
        "10.66.0.1",
        "10.67.0.1",
        "10.68.0.1",
        "10.69.0.1",
        "10.5.5.5",
        "127.0.0.1",
        "127.3.3.3",
        "fd91::7",
        "fd91::141",
        "fd81::142",
        "fd10::1",
        "fd10:1::1",
        "fd20::1",
        "fd66::1",
        "fd00::5",
        "::1",
        "2a00::1",
        "2001:db8::1",
    ];
    let compare = || {
        let view = host.run(|| HostView::read().unwrap());
        for ip in questions {
            assert_eq!(looked_up(&view, ip), asked(&host, ip), "{ip}");
        }
    };
    compare();
    host.sh("ip link set ens37 down");
    compare();
    host.sh("ip link set ens37 up; ip addr del 192.168.91.141/24 dev ens33; ip route replace default via 192.168.81.142");
    compare();
}
