//! Which packets carry which firewall mark.
//!
//! The host's own firewall sees a packet only after the director took it, so the director marks for itself.

use std::net::IpAddr;

use ipnet::IpNet;
use lvs_conntrack::Proto;

/// One rule: packets that fit carry the mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRule {
    /// The destinations it is for.
    pub destination: IpNet,
    /// The protocol; any when absent.
    pub proto: Option<Proto>,
    /// The destination ports; any when empty.
    pub service_ports: Vec<u16>,
    /// The mark, never 0.
    pub mark: u32,
}

impl MarkRule {
    fn fits(&self, proto: Proto, dst: IpAddr, service_port: u16) -> bool {
        self.destination.contains(&dst)
            && self.proto.is_none_or(|wanted| wanted == proto)
            && (self.service_ports.is_empty() || self.service_ports.contains(&service_port))
    }
}

/// The rules in force. As with a firewall that goes on after it marked, the last rule that fits counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(Vec<MarkRule>);

impl Marks {
    /// These rules.
    pub fn new(rules: Vec<MarkRule>) -> Self {
        Self(rules)
    }

    /// The mark of a packet; 0 for none.
    pub fn of(&self, proto: Proto, dst: IpAddr, service_port: u16) -> u32 {
        let rule = self.0.iter().rev().find(|rule| rule.fits(proto, dst, service_port));
        rule.map_or(0, |rule| rule.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_fits_counts() {
        let rule = |destination: &str, proto, ports: &[u16], mark| MarkRule {
            destination: destination.parse().unwrap(),
            proto,
            service_ports: ports.to_vec(),
            mark,
        };
        let marks = Marks::new(vec![
            rule("10.0.0.0/8", None, &[], 1),
            rule("10.9.9.9/32", Some(Proto::TCP), &[80, 443], 5),
        ]);
        let of = |proto, dst: &str, port| marks.of(proto, dst.parse().unwrap(), port);
        assert_eq!(of(Proto::TCP, "10.9.9.9", 443), 5);
        assert_eq!(of(Proto::TCP, "10.9.9.9", 22), 1);
        assert_eq!(of(Proto::UDP, "10.9.9.9", 80), 1);
        assert_eq!(of(Proto::TCP, "192.0.2.1", 80), 0);
        assert_eq!(of(Proto::TCP, "2001:db8::1", 80), 0);
    }
}
