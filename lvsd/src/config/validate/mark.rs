//! The rules for marks: `[[mark]]`.

use ipnet::IpNet;
use toml::Spanned;

use super::Check;
use crate::config::mistake::Mistake;
use crate::config::schema::{self, Ports, Text};
use crate::mark::{MarkRule, PortRange, PortRangeError, network};

impl Check {
    pub(super) fn marks(&mut self, marks: &[Spanned<schema::Mark>], served: &[Text]) -> Vec<MarkRule> {
        let mut rules: Vec<(MarkRule, &Spanned<schema::Mark>)> = Vec::new();
        for mark in marks {
            let Some(rule) = self.mark(mark.as_ref(), served) else { continue };
            if let Some((_, first)) = rules.iter().find(|(other, _)| *other == rule) {
                self.mistakes.push(
                    Mistake::new(
                        mark.as_ref().value.span(),
                        "a mark is given twice by the same rule",
                        "again here",
                    )
                    .with_also(first.as_ref().value.span(), "first here"),
                );
            }
            rules.push((rule, mark));
        }
        rules.into_iter().map(|(rule, _)| rule).collect()
    }

    fn mark(&mut self, mark: &schema::Mark, served: &[Text]) -> Option<MarkRule> {
        // A part that is wrong is a mistake already; nothing is done with the rule.
        let destination = mark.destination.as_ref().and_then(|text| self.network(text));
        let source = mark.source.as_ref().and_then(|text| self.network(text));
        let protocol = mark.protocol.as_ref().and_then(|name| self.transport(name));
        let ports = self.port_ranges(&mark.ports);
        let source_ports = self.port_ranges(&mark.source_ports);
        let number = self.number(&mark.value, "a mark", 1..=i64::from(u32::MAX));
        if let (Some(to), Some(from), Some(destination), Some(source)) =
            (&mark.destination, &mark.source, destination, source)
            && destination.addr().is_ipv4() != source.addr().is_ipv4()
        {
            self.mistakes.push(
                Mistake::new(from.span(), "two address families in one rule", "this is of another family")
                    .with_also(to.span(), "than this"),
            );
        }
        let interface = mark.interface.as_ref().map(|name| self.served(name, served));
        let mark = number?;
        Some(MarkRule { mark, destination, source, protocol, ports, source_ports, interface })
    }

    /// A network, or an address for itself alone.
    fn network(&mut self, text: &Text) -> Option<IpNet> {
        let network = network(text.as_ref());
        if network.is_none() {
            let title = format!("`{}` cannot be read", text.as_ref());
            let expected = "expected a network such as 10.0.0.0/24, or an address";
            self.mistakes.push(Mistake::new(text.span(), title, expected));
        }
        network
    }

    fn port_ranges(&mut self, written: &[Spanned<Ports>]) -> Vec<PortRange> {
        let mut ranges = Vec::new();
        for ports in written {
            let text = &ports.as_ref().0;
            match text.parse() {
                Ok(range) => ranges.push(range),
                Err(PortRangeError::NoPort(_)) => {
                    let title = format!("`{text}` is no port and no range of ports");
                    let expected = "expected 1 to 65535, or a range such as \"8000-8100\"";
                    self.mistakes.push(Mistake::new(ports.span(), title, expected));
                }
                Err(PortRangeError::Backwards(first, last)) => {
                    let title = format!("the range {first}-{last} is empty");
                    let mistake = Mistake::new(ports.span(), title, "it ends before it begins");
                    self.mistakes.push(mistake.with_help(format!("write \"{last}-{first}\"")));
                }
            }
        }
        ranges
    }

    /// An interface packets are taken from. Where the file lists none, the command line does.
    fn served(&mut self, name: &Text, served: &[Text]) -> String {
        let written = self.interface(name);
        let is_served = served.is_empty() || served.iter().any(|other| *other.as_ref() == written);
        if !is_served && !written.is_empty() {
            let known = served.iter().map(|name| name.as_ref().as_str());
            let expected = format!("expected one of: {}", known.clone().collect::<Vec<_>>().join(", "));
            let title = format!("no packets are taken from interface `{written}`");
            self.mistakes.push(Mistake::new(name.span(), title, expected).suggesting(&written, known));
        }
        written
    }
}
