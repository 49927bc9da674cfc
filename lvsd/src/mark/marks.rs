//! The list of rules in force, and what a change of it may be refused for.

use lvs_forward::PortId;

use super::bits::MOST;
use super::classifier::Classifier;
use super::{Candidate, MarkRule, PortRange};
use crate::message::{Family, MarkChoice};

/// Why a list of rules cannot be had; it is then as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    /// 0 stands for no mark.
    #[error("a mark is a number from 1 to 4294967295")]
    Zero,
    /// The prefixes are not of one family.
    #[error("destination and source are not of one address family")]
    Families,
    /// A range that ends before it begins, or port 0.
    #[error("{0} is no range of ports")]
    Ports(PortRange),
    /// The interface is not served.
    #[error("interface {0} is not served; these are: {1}")]
    Interface(String, String),
    /// The same rule is there.
    #[error("rule {0} says the same already")]
    Exists(usize),
    /// A number behind the list's end.
    #[error("there is no place {0}; the list has {1} rules")]
    Place(u32, usize),
    /// No rule says that.
    #[error("there is no such rule")]
    Unknown,
    /// The list is as long as it may be.
    #[error("there may be {MOST} rules, and no more")]
    Full,
}

/// The rules in force. The first that fits a packet gives it its mark.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    rules: Vec<MarkRule>,
    v4: Option<Box<Classifier>>,
    v6: Option<Box<Classifier>>,
}

impl Marks {
    /// These rules, with `served` the interfaces that `PortId`s count.
    ///
    /// # Errors
    /// A rule that cannot be.
    pub fn new(rules: Vec<MarkRule>, served: &[String]) -> Result<Self, MarkError> {
        if rules.len() > MOST {
            return Err(MarkError::Full);
        }
        rules.iter().try_for_each(|rule| check(rule, served))?;
        let compile = |family| {
            let rules: Vec<_> = rules
                .iter()
                .filter(|rule| rule.is_for(family))
                .map(|rule| (rule, port(rule, served)))
                .collect();
            Classifier::new(&rules).map(Box::new)
        };
        let (v4, v6) = (compile(Family::Ipv4), compile(Family::Ipv6));
        Ok(Self { rules, v4, v6 })
    }

    /// The list with one rule more, at place `at` counted from 1, or at the end.
    ///
    /// # Errors
    /// The rule cannot be, is there already, or there is no such place.
    pub fn with(&self, rule: MarkRule, at: Option<u32>, served: &[String]) -> Result<Self, MarkError> {
        if let Some(place) = self.rules.iter().position(|other| *other == rule) {
            return Err(MarkError::Exists(place + 1));
        }
        let place = match at {
            Some(at) => self.place(at, self.rules.len() + 1)?,
            None => self.rules.len(),
        };
        let mut rules = self.rules.clone();
        rules.insert(place, rule);
        Self::new(rules, served)
    }

    /// The list without one rule.
    ///
    /// # Errors
    /// It is not there.
    pub fn without(&self, which: &MarkChoice, served: &[String]) -> Result<Self, MarkError> {
        let place = match which {
            MarkChoice::Number(number) => self.place(*number, self.rules.len())?,
            MarkChoice::Rule(rule) => {
                self.rules.iter().position(|other| other == rule).ok_or(MarkError::Unknown)?
            }
        };
        let mut rules = self.rules.clone();
        rules.remove(place);
        Self::new(rules, served)
    }

    fn place(&self, at: u32, most: usize) -> Result<usize, MarkError> {
        let place = usize::try_from(at).ok().filter(|place| (1..=most).contains(place));
        place.map(|place| place - 1).ok_or(MarkError::Place(at, self.rules.len()))
    }

    /// The rules, in their order.
    pub fn rules(&self) -> &[MarkRule] {
        &self.rules
    }

    /// The mark of a packet; 0 for none.
    pub fn mark(&self, packet: Candidate<'_>) -> u32 {
        let classifier = if packet.key.dst.is_ipv4() { &self.v4 } else { &self.v6 };
        classifier.as_ref().map_or(0, |classifier| classifier.mark(packet))
    }
}

/// Where the rule's interface is among those served.
pub(super) fn port(rule: &MarkRule, served: &[String]) -> Option<PortId> {
    let place = served.iter().position(|name| Some(name) == rule.interface.as_ref())?;
    u16::try_from(place).ok().map(PortId)
}

fn check(rule: &MarkRule, served: &[String]) -> Result<(), MarkError> {
    if rule.mark == 0 {
        return Err(MarkError::Zero);
    }
    if !rule.is_for(Family::Ipv4) && !rule.is_for(Family::Ipv6) {
        return Err(MarkError::Families);
    }
    let is_empty = |range: &&PortRange| range.first == 0 || range.first > range.last;
    if let Some(range) = rule.ports.iter().chain(&rule.source_ports).find(is_empty) {
        return Err(MarkError::Ports(*range));
    }
    match &rule.interface {
        Some(name) if !served.contains(name) => Err(MarkError::Interface(name.clone(), served.join(", "))),
        Some(_) | None => Ok(()),
    }
}
