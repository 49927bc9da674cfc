//! The compiled rules against the rules themselves, and what a list of rules takes and refuses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use lvs_conntrack::{FlowKey, Proto};
use lvs_forward::PortId;

use super::marks::port;
use super::{Candidate, MarkError, MarkRule, Marks, PortRange};
use crate::message::{Family, MarkChoice, Transport};

/// `SplitMix64`: the same numbers at each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next(count) == 0
    }

    fn bits(&mut self) -> u128 {
        u128::from(self.next(u64::MAX)) << 64 | u128::from(self.next(u64::MAX))
    }

    /// Few bits differ, so that prefixes of every length hold one another and addresses lie in them.
    fn address(&mut self, family: Family) -> IpAddr {
        let sparse = self.bits() & self.bits() & self.bits();
        match family {
            Family::Ipv4 => Ipv4Addr::from_bits(0x0a00_0000 | u32::try_from(sparse >> 100).unwrap()).into(),
            Family::Ipv6 => Ipv6Addr::from_bits(0x2001_0db8 << 96 | sparse >> 36).into(),
        }
    }

    fn network(&mut self, family: Family) -> Option<IpNet> {
        if self.one_in(4) {
            return None;
        }
        Some(match self.address(family) {
            IpAddr::V4(v4) => Ipv4Net::new(v4, u8::try_from(self.next(33)).unwrap()).unwrap().into(),
            IpAddr::V6(v6) => Ipv6Net::new(v6, u8::try_from(self.next(129)).unwrap()).unwrap().into(),
        })
    }

    /// Low ports, so that ranges meet; and now and then the last ones.
    fn port(&mut self) -> u16 {
        let port = u16::try_from(self.next(600)).unwrap();
        if self.one_in(8) { u16::MAX - port } else { port + 1 }
    }

    fn ranges(&mut self) -> Vec<PortRange> {
        let count = if self.one_in(2) { 0 } else { self.next(4) };
        let range = |_| {
            let (a, b) = (self.port(), self.port());
            if self.one_in(2) { PortRange::single(a) } else { PortRange { first: a.min(b), last: a.max(b) } }
        };
        (0..count).map(range).collect()
    }

    fn rule(&mut self, mark: u32) -> MarkRule {
        let family = if self.one_in(2) { Family::Ipv6 } else { Family::Ipv4 };
        let protocols = [None, None, Some(Transport::Tcp), Some(Transport::Udp), Some(Transport::Sctp)];
        let interfaces = [None, None, None, Some("eth0"), Some("eth2")];
        MarkRule {
            mark,
            destination: self.network(family),
            source: if self.one_in(2) { self.network(family) } else { None },
            protocol: protocols[usize::try_from(self.next(5)).unwrap()],
            ports: self.ranges(),
            source_ports: if self.one_in(3) { self.ranges() } else { Vec::new() },
            interface: interfaces[usize::try_from(self.next(5)).unwrap()].map(str::to_owned),
        }
    }

    fn key(&mut self) -> FlowKey {
        let family = if self.one_in(2) { Family::Ipv6 } else { Family::Ipv4 };
        FlowKey {
            proto: [Proto::TCP, Proto::UDP, Proto::SCTP][usize::try_from(self.next(3)).unwrap()],
            src: self.address(family),
            src_port: self.port(),
            dst: self.address(family),
            dst_port: self.port(),
        }
    }
}

fn served() -> Vec<String> {
    ["eth0", "eth1", "eth2"].map(str::to_owned).into()
}

/// What the rules say, read one after another.
fn scanned(rules: &[MarkRule], packet: Candidate<'_>) -> u32 {
    let served = served();
    let first = rules.iter().find(|rule| rule.fits(packet, port(rule, &served)));
    first.map_or(0, |rule| rule.mark)
}

#[test]
fn the_compiled_rules_say_what_the_first_rule_that_fits_says() {
    let (mut marked, mut unmarked, mut late) = (0, 0, 0);
    for seed in 0..3000 {
        let mut numbers = Numbers(seed);
        // Some sets need more than one word of bits.
        let count = if seed % 40 == 0 { 200 } else { numbers.next(24) };
        let rules: Vec<MarkRule> =
            (0..count).map(|number| numbers.rule(u32::try_from(number).unwrap() + 1)).collect();
        let marks = Marks::new(rules.clone(), &served()).unwrap();
        for _ in 0..100 {
            let key = numbers.key();
            let ingress = PortId(u16::try_from(numbers.next(4)).unwrap());
            let packet = Candidate { key: &key, ingress };
            let expected = scanned(&rules, packet);
            assert_eq!(marks.mark(packet), expected, "seed {seed}, {packet:?}, {rules:#?}");
            marked += u32::from(expected != 0);
            unmarked += u32::from(expected == 0);
            late += u32::from(expected > 64);
        }
    }
    // The test is worth something only if all of these come about.
    assert!(marked > 50_000 && unmarked > 50_000 && late > 50, "{marked} {unmarked} {late}");
}

fn rule(text: &str, mark: u32) -> MarkRule {
    MarkRule {
        mark,
        destination: super::network(text),
        source: None,
        protocol: None,
        ports: Vec::new(),
        source_ports: Vec::new(),
        interface: None,
    }
}

fn mark_of(marks: &Marks, dst: &str, dst_port: u16) -> u32 {
    let dst: IpAddr = dst.parse().unwrap();
    let src = if dst.is_ipv4() { IpAddr::from([192, 0, 2, 1]) } else { "2001:db8::1".parse().unwrap() };
    let key = FlowKey { proto: Proto::TCP, src, src_port: 4000, dst, dst_port };
    marks.mark(Candidate { key: &key, ingress: PortId(0) })
}

#[test]
fn the_first_rule_that_fits_counts() {
    let web =
        MarkRule { ports: vec![PortRange::single(80), "8000-8100".parse().unwrap()], ..rule("10.9.9.9", 5) };
    let marks = Marks::new(vec![web, rule("10.0.0.0/8", 1), rule("10.9.9.9", 9)], &[]).unwrap();
    for (port, mark) in [(80, 5), (79, 1), (81, 1), (7999, 1), (8000, 5), (8050, 5), (8100, 5), (8101, 1)] {
        assert_eq!(mark_of(&marks, "10.9.9.9", port), mark, "{port}");
    }
    assert_eq!(mark_of(&marks, "10.1.1.1", 80), 1);
    assert_eq!(mark_of(&marks, "192.0.2.1", 80), 0);
    assert_eq!(mark_of(&marks, "::a09:909", 80), 0);
}

#[test]
fn a_rule_without_addresses_is_for_both_families() {
    let everything = MarkRule { destination: None, ..rule("10.0.0.0/8", 3) };
    let marks = Marks::new(vec![rule("2001:db8::/32", 6), everything], &[]).unwrap();
    assert_eq!(mark_of(&marks, "10.0.0.1", 1), 3);
    assert_eq!(mark_of(&marks, "2001:db8::5", 1), 6);
    assert_eq!(mark_of(&marks, "2001:db9::5", 1), 3);
}

#[test]
fn a_rule_goes_where_it_is_put() {
    let wide = Marks::new(vec![rule("10.0.0.0/8", 1)], &[]).unwrap();
    let behind = wide.with(rule("10.1.0.0/16", 2), None, &[]).unwrap();
    assert_eq!(mark_of(&behind, "10.1.0.1", 80), 1);
    let before = wide.with(rule("10.1.0.0/16", 2), Some(1), &[]).unwrap();
    assert_eq!(mark_of(&before, "10.1.0.1", 80), 2);
    let by_number = before.without(&MarkChoice::Number(1), &[]).unwrap();
    let by_words = before.without(&MarkChoice::Rule(rule("10.1.0.0/16", 2)), &[]).unwrap();
    assert_eq!(by_number.rules(), wide.rules());
    assert_eq!(by_words.rules(), wide.rules());
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let marks = Marks::new(vec![rule("10.0.0.0/8", 1)], &served()).unwrap();
    let with = |rule| marks.with(rule, None, &served()).unwrap_err();
    let base = || rule("10.2.0.0/16", 2);
    let backwards = PortRange { first: 9, last: 8 };
    assert_eq!(with(rule("10.0.0.0/8", 1)), MarkError::Exists(1));
    assert_eq!(with(rule("10.0.0.0/8", 0)), MarkError::Zero);
    assert_eq!(with(MarkRule { source: super::network("2001:db8::1"), ..base() }), MarkError::Families);
    assert_eq!(with(MarkRule { ports: vec![backwards], ..base() }), MarkError::Ports(backwards));
    assert_eq!(
        with(MarkRule { interface: Some("eth9".to_owned()), ..base() }).to_string(),
        "interface eth9 is not served; these are: eth0, eth1, eth2"
    );
    for at in [0, 3] {
        assert_eq!(marks.with(base(), Some(at), &[]).unwrap_err(), MarkError::Place(at, 1));
    }
    assert_eq!(marks.without(&MarkChoice::Number(2), &[]).unwrap_err(), MarkError::Place(2, 1));
    assert_eq!(marks.without(&MarkChoice::Rule(base()), &[]).unwrap_err(), MarkError::Unknown);
    let many = (0..4097).map(|number| rule("10.0.0.0/8", number + 1)).collect();
    assert_eq!(Marks::new(many, &[]).unwrap_err(), MarkError::Full);
}

#[test]
fn a_rule_reads_as_it_is_typed() {
    let rule = MarkRule {
        source: super::network("198.51.100.7/24"),
        protocol: Some(Transport::Udp),
        ports: vec![PortRange::single(53), "8000-8100".parse().unwrap()],
        source_ports: vec!["1024-65535".parse().unwrap()],
        interface: Some("eth0".to_owned()),
        ..rule("192.0.2.10", 7)
    };
    assert_eq!(
        rule.to_string(),
        "7 --destination 192.0.2.10 --source 198.51.100.0/24 --protocol udp --ports 53,8000-8100 \
         --source-ports 1024-65535 --interface eth0"
    );
    for wrong in ["", "0", "65536", "80-", "-80", "90-80", "http", "1-2-3"] {
        assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
    }
}

#[test]
fn the_longest_list_is_taken_and_every_rule_of_it_found() {
    let rules: Vec<MarkRule> = (0..4096_u32)
        .map(|n| MarkRule {
            ports: vec![PortRange::single(u16::try_from(n % 64 + 1).unwrap())],
            ..rule(&Ipv4Addr::from_bits(0x0a00_0000 + n / 64).to_string(), n + 1)
        })
        .collect();
    let marks = Marks::new(rules, &[]).unwrap();
    for n in 0..4096_u32 {
        let dst = Ipv4Addr::from_bits(0x0a00_0000 + n / 64).to_string();
        assert_eq!(mark_of(&marks, &dst, u16::try_from(n % 64 + 1).unwrap()), n + 1);
    }
}
