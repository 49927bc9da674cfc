use super::*;

fn parse(text: &str) -> Result<Rule, Unread> {
    Rule::parse(&text.split_whitespace().collect::<Vec<_>>(), Some(16_384))
}

#[test]
fn the_rules_of_the_manual_are_read_and_written_so_that_they_are_read_again() {
    for (text, written) in [
        ("from 192.168.2.0/24 table 1", "from 192.168.2.0/24 table 1 priority 16384"),
        ("to 192.168.2.0/24 table 1 no_track", "to 192.168.2.0/24 table 1 priority 16384 no_track"),
        (
            "from 192.168.28.0/24 to 192.168.29.0/26 table 7 iif p33p1 oif wlan0 tos 22 fwmark 24/12 preference 39",
            "from 192.168.28.0/24 to 192.168.29.0/26 iif p33p1 oif wlan0 fwmark 0x18/0xc tos 0x16 table 7 priority 39",
        ),
        (
            "to 1:2:3:4:5:6:7:0/112 from 7:6:5:4:3:2::/96 table 6908",
            "from 7:6:5:4:3:2::/96 to 1:2:3:4:5:6:7:0/112 table 6908 priority 16384",
        ),
        ("inet6 fwmark 7 lookup main pref 9", "inet6 from all fwmark 0x7 table main priority 9"),
        ("from all iif eth0 blackhole priority 5", ""),
        ("from 10.0.0.1 prohibit priority 5", ""),
        ("to 10.0.0.1 dev eth1 unreachable order 5", "to 10.0.0.1 iif eth1 unreachable priority 5"),
    ] {
        let rule = parse(text).unwrap_or_else(|unread| panic!("{text}: {unread:?}"));
        let expected = if written.is_empty() { text } else { written };
        assert_eq!(rule.to_string(), expected);
        assert_eq!(parse(&rule.to_string()), Ok(rule));
    }
}

#[test]
fn each_mistake_is_told_at_its_word() {
    for (text, at, told) in [
        ("from 10.0.0.0/8", 1, "says nothing"),
        ("from 10.0.0.0/8 table 0", 3, "table 0"),
        ("from 10.0.0.0/8 goto 40", 2, "cannot be had"),
        ("from 10.0.0.0/8 table 1 uidrange 1-2", 4, "cannot be had"),
        ("from 10.0.0.0/8 table 1 colour red", 4, "unknown word"),
        ("from 10.0.0.0/8 to 2001:db8::/32 table 1", 5, "two families"),
        ("inet from 2001:db8::/32 table 1", 4, "two families"),
        ("fwmark red table 1", 1, "a mark such as"),
        ("from 10.0.0.0/8 table 1 priority 0", 5, "priority N"),
        ("from 10.0.0.0/8 table", 2, "without its value"),
    ] {
        let unread = parse(text).unwrap_err();
        let all = format!("{} {}", unread.title, unread.expected);
        assert!(unread.at == at && all.contains(told), "{text}: {unread:?}");
    }
    let nowhere = Rule::parse(&["from", "10.0.0.0/8", "table", "1"], None).unwrap_err();
    assert!(nowhere.expected.contains("priority N"), "{nowhere:?}");
}

/// Words that have a meaning, and some that have none.
const WORDS: [&str; 32] = [
    "from",
    "to",
    "all",
    "default",
    "10.0.0.0/8",
    "2001:db8::/32",
    "192.0.2.1",
    "table",
    "lookup",
    "main",
    "100",
    "0",
    "7",
    "0x10/0xf0",
    "priority",
    "pref",
    "iif",
    "oif",
    "dev",
    "eth0",
    "fwmark",
    "tos",
    "blackhole",
    "unreachable",
    "prohibit",
    "no_track",
    "inet",
    "inet6",
    "goto",
    "not",
    "",
    "5/0",
];

proptest::proptest! {
    #[test]
    fn whatever_is_read_is_written_so_that_it_is_read_again(
        words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..12)
    ) {
        for words in [words.clone(), [&["table", "9"], &words[..]].concat()] {
            match Rule::parse(&words, Some(16_384)) {
                Ok(rule) => proptest::prop_assert_eq!(parse(&rule.to_string()), Ok(rule)),
                Err(unread) => proptest::prop_assert!(unread.at < words.len().max(1)),
            }
        }
    }
}
