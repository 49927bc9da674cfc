//! A rule of policy routing that comes and goes with a virtual router, or with the daemon.

use std::fmt;

use super::words::{Prefix, Unread, Words, number, table_name};

/// A rule, as `ip rule add` is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whether it is for IPv6.
    pub is_ipv6: bool,
    /// Where packets come from (`from`).
    pub from: Option<Prefix>,
    /// Where they are going (`to`).
    pub to: Option<Prefix>,
    /// The interface they came by (`iif`).
    pub input: Option<String>,
    /// The interface that the sending socket is bound to (`oif`).
    pub output: Option<String>,
    /// Their firewall mark, and which of its bits count (`fwmark`).
    pub mark: Option<(u32, u32)>,
    /// Their type of service (`tos`); any when 0.
    pub tos: u8,
    /// What becomes of them.
    pub verdict: RuleVerdict,
    /// Where it stands; the smaller is asked first (`priority`).
    pub priority: u32,
    /// Is not put back when somebody removes it (`no_track`).
    pub is_untracked: bool,
}

/// What becomes of the packets that a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleVerdict {
    /// A table of this number is asked (`table`).
    Table(u32),
    /// They vanish.
    Blackhole,
    /// They are refused: unreachable.
    Unreachable,
    /// They are refused: prohibited.
    Prohibit,
}

const VERDICTS: [(&str, RuleVerdict); 3] = [
    ("blackhole", RuleVerdict::Blackhole),
    ("unreachable", RuleVerdict::Unreachable),
    ("prohibit", RuleVerdict::Prohibit),
];
const KNOWN: [&str; 14] = [
    "from",
    "to",
    "table",
    "priority",
    "iif",
    "oif",
    "fwmark",
    "tos",
    "blackhole",
    "unreachable",
    "prohibit",
    "no_track",
    "inet",
    "inet6",
];
/// Words of keepalived's that there is nothing for here.
const NOT_DONE: [&str; 18] = [
    "not",
    "goto",
    "nop",
    "realms",
    "l3mdev",
    "uidrange",
    "ip_proto",
    "ipproto",
    "sport",
    "dport",
    "tun_id",
    "protocol",
    "proto",
    "suppress_prefixlength",
    "suppress_ifgroup",
    "nat",
    "map-to",
    "type",
];

impl Rule {
    /// Reads what is written in keepalived.conf, or behind `ip rule add`. `priority` holds where none is written.
    ///
    /// # Errors
    /// The word that cannot be read, or that leaves the rule without a meaning.
    pub fn parse(words: &[&str], priority: Option<u32>) -> Result<Self, Unread> {
        let mut words = Words::new(words);
        let mut rule = Self {
            is_ipv6: false,
            from: None,
            to: None,
            input: None,
            output: None,
            mark: None,
            tos: 0,
            verdict: RuleVerdict::Blackhole,
            priority: 0,
            is_untracked: false,
        };
        let (mut family, mut verdict, mut written) = (None, None, None);
        while let Some(word) = words.next() {
            match word {
                "inet" => family = Some(false),
                "inet6" => family = Some(true),
                "table" | "lookup" => verdict = Some(RuleVerdict::Table(words.table(word)?)),
                "priority" | "preference" | "pref" | "order" => {
                    written = Some(words.number(word, "a number")?);
                }
                _ => match VERDICTS.iter().find(|(name, _)| *name == word) {
                    Some(&(_, named)) => verdict = Some(named),
                    None => rule.option(word, &mut words)?,
                },
            }
        }
        let mut families = [rule.from, rule.to].into_iter().flatten().map(|prefix| prefix.address.is_ipv6());
        rule.is_ipv6 = family.or_else(|| families.clone().next()).unwrap_or(false);
        if families.any(|is_ipv6| is_ipv6 != rule.is_ipv6) {
            return Err(
                words.wrong("a rule of two families", "expected all addresses to be IPv4, or all IPv6")
            );
        }
        rule.verdict = verdict.ok_or_else(|| {
            words.wrong("a rule that says nothing", "expected `table N`, blackhole, unreachable or prohibit")
        })?;
        // Nothing stands before the rule for the host's own addresses, and nothing for all packets by accident.
        rule.priority = written
            .or(priority)
            .filter(|&priority| priority != 0)
            .ok_or_else(|| words.wrong("a rule without its place", "expected `priority N`, 1 or more"))?;
        Ok(rule)
    }

    fn option(&mut self, word: &str, words: &mut Words<'_>) -> Result<(), Unread> {
        match word {
            // All packets are what a rule is for that says nothing.
            "from" | "to" if words.is_next("all") || words.is_next("default") || words.is_next("any") => {}
            "from" => self.from = Some(words.prefix(word)?),
            "to" => self.to = Some(words.prefix(word)?),
            "iif" | "dev" => self.input = Some(words.interface(word)?),
            "oif" => self.output = Some(words.interface(word)?),
            "fwmark" => self.mark = Some(words.mark(word)?),
            "tos" | "dsfield" => self.tos = words.number(word, "0 to 0xff")?,
            "no_track" => self.is_untracked = true,
            _ => {
                return Err(words.unknown(
                    "rule",
                    word,
                    &KNOWN,
                    &NOT_DONE,
                    "`notify_master`: ip rule add ..",
                ));
            }
        }
        Ok(())
    }
}

impl Words<'_> {
    /// `MARK` or `MARK/MASK`
    fn mark(&mut self, option: &str) -> Result<(u32, u32), Unread> {
        let value = self.value(option)?;
        let (mark, mask) = value.split_once('/').map_or((value, None), |(mark, mask)| (mark, Some(mask)));
        let mask = mask.map_or(Some(u32::MAX), number);
        number(mark).zip(mask).ok_or_else(|| {
            self.wrong(format!("`{value}` cannot be read"), "expected a mark such as 7, 0x10 or 0x10/0xf0")
        })
    }
}

/// As [`Rule::parse`] reads it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.from.unwrap_or_else(|| Prefix::all(self.is_ipv6));
        // Of itself a rule for all packets would be one for IPv4.
        if self.from.is_some() || self.to.is_none() {
            match self.from {
                Some(_) => write!(f, "from {from}")?,
                None => f.write_str(if self.is_ipv6 { "inet6 from all" } else { "from all" })?,
            }
        }
        if let Some(to) = self.to {
            write!(f, "{}to {to}", if self.from.is_some() { " " } else { "" })?;
        }
        let mut say = |option: &str, value: Option<String>| match value {
            Some(value) => write!(f, " {option} {value}"),
            None => Ok(()),
        };
        say("iif", self.input.clone())?;
        say("oif", self.output.clone())?;
        say(
            "fwmark",
            self.mark.map(|(mark, mask)| match mask {
                u32::MAX => format!("{mark:#x}"),
                _ => format!("{mark:#x}/{mask:#x}"),
            }),
        )?;
        say("tos", (self.tos != 0).then(|| format!("{:#x}", self.tos)))?;
        match self.verdict {
            RuleVerdict::Table(table) => say("table", Some(table_name(table)))?,
            RuleVerdict::Blackhole | RuleVerdict::Unreachable | RuleVerdict::Prohibit => {
                let name = VERDICTS.iter().find(|&&(_, verdict)| verdict == self.verdict);
                write!(f, " {}", name.map_or("", |(name, _)| name))?;
            }
        }
        write!(f, " priority {}", self.priority)?;
        f.write_str(if self.is_untracked { " no_track" } else { "" })
    }
}

#[cfg(test)]
mod tests;
