use super::*;

fn parse(text: &str) -> Result<Route, Unread> {
    Route::parse(&text.split_whitespace().collect::<Vec<_>>())
}

/// What is written, and how it is written here.
#[test]
fn the_routes_of_the_manual_are_read_and_written_so_that_they_are_read_again() {
    for (text, written) in [
        (
            "src 192.168.100.1 to 192.168.109.0/24 via 192.168.200.254 dev eth1",
            "192.168.109.0/24 via 192.168.200.254 dev eth1 src 192.168.100.1",
        ),
        ("192.168.110.0/24 via 192.168.200.254 dev eth1", ""),
        ("192.168.111.0/24 dev eth2 no_track", ""),
        ("blackhole 192.168.114.0/24", ""),
        ("0.0.0.0/0 gw 192.168.0.1 table 100", "0.0.0.0/0 via 192.168.0.1 table 100"),
        ("default via 192.168.0.1 table 100", "0.0.0.0/0 via 192.168.0.1 table 100"),
        ("to default via 2001:db8::1", "::/0 via 2001:db8::1"),
        ("inet6 default dev eth0", "::/0 dev eth0"),
        ("inet6 unreachable default metric 4096", "unreachable ::/0 metric 4096"),
        (
            "2001:470:69e9:1:2::4 dev p33p1.2 table 6909 tos 0x04 proto bird scope link priority 12 mtu 1000",
            "2001:470:69e9:1:2::4 dev p33p1.2 table 6909 metric 12 proto 12 scope 253 mtu 1000 tos 0x4",
        ),
        ("local 10.9.0.0/16 dev lo table local", ""),
        ("10.113.0.1 via 10.88.0.1 dev d0 onlink", ""),
        ("10.113.0.1 oif d0 dsfield 8 proto static table main", "10.113.0.1 dev d0 proto 4 tos 0x8"),
        ("throw 10.0.0.0/8 table 7", ""),
    ] {
        let route = parse(text).unwrap_or_else(|unread| panic!("{text}: {unread:?}"));
        let expected = if written.is_empty() { text } else { written };
        assert_eq!(route.to_string(), expected);
        assert_eq!(parse(&route.to_string()), Ok(route));
    }
}

#[test]
fn what_keepalived_and_the_kernel_take_for_granted_is_so() {
    let route = parse("10.0.0.0/8 dev eth0").unwrap();
    assert_eq!((route.table, route.protocol, route.scope, route.metric), (254, 18, 0, 0));
    assert_eq!(parse("local 10.0.0.0/8 dev lo").unwrap().scope, 254);
}

#[test]
fn each_mistake_is_told_at_its_word() {
    for (text, at, told) in [
        ("10.0.0.0/33 dev eth0", 0, "/32"),
        ("10.0.0.1/8 dev eth0", 0, "zeros"),
        ("10.0.0.0/8 10.1.0.0/16 dev eth0", 1, "unknown word"),
        ("10.0.0.0/8 via nobody", 2, "192.0.2.1"),
        ("10.0.0.0/8 via", 1, "without its value"),
        ("10.0.0.0/8 dev eth0 table 0", 4, "table 0"),
        ("10.0.0.0/8 dev eth0 table blue", 4, "rt_tables"),
        ("10.0.0.0/8 dev eth0 mtu lock 1400", 4, "lock"),
        ("10.0.0.0/8 dev eth0 nexthop via 10.1.0.1", 3, "cannot be had"),
        ("10.0.0.0/8 via 10.1.0.1 or 10.1.0.2", 3, "cannot be had"),
        ("10.0.0.0/8 dev eth0 proto nobody", 4, "keepalived"),
        ("10.0.0.0/8 dev eth0 proto 256", 4, "keepalived"),
        ("10.0.0.0/8 dev a-name-that-is-too-long", 2, "15"),
        ("10.0.0.0/8", 0, "leads nowhere"),
        ("10.0.0.0/8 table 7", 2, "leads nowhere"),
        ("blackhole 10.0.0.0/8 dev eth0", 3, "refuses"),
        ("10.0.0.0/8 dev eth0 onlink", 3, "onlink"),
        ("10.0.0.0/8 via 2001:db8::1", 2, "two families"),
        ("inet6 10.0.0.0/8 dev eth0", 3, "two families"),
        ("via 10.1.0.1", 1, "without a destination"),
        ("", 0, "without a destination"),
    ] {
        let unread = parse(text).unwrap_err();
        let all = format!("{} {}", unread.title, unread.expected);
        assert!(unread.at == at && all.contains(told), "{text}: {unread:?}");
    }
}

/// Words that have a meaning, and some that have none.
const WORDS: [&str; 40] = [
    "to",
    "default",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "192.0.2.1",
    "2001:db8::/32",
    "2001:db8::1",
    "via",
    "gw",
    "dev",
    "oif",
    "eth0",
    "src",
    "table",
    "main",
    "local",
    "100",
    "0",
    "0x10",
    "metric",
    "priority",
    "proto",
    "static",
    "scope",
    "link",
    "mtu",
    "1400",
    "tos",
    "onlink",
    "no_track",
    "inet",
    "inet6",
    "unicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nexthop",
    "",
    "a-name-that-is-too-long",
];

proptest::proptest! {
    #[test]
    fn whatever_is_read_is_written_so_that_it_is_read_again(
        words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..12)
    ) {
        // Most routes need these two.
        for words in [words.clone(), [&["10.0.0.0/8", "dev", "eth0"], &words[..]].concat()] {
            match Route::parse(&words) {
                Ok(route) => proptest::prop_assert_eq!(parse(&route.to_string()), Ok(route)),
                Err(unread) => proptest::prop_assert!(unread.at < words.len().max(1)),
            }
        }
    }
}
