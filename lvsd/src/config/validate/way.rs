//! Routes and rules out of the file, in `ip`'s own words, and what is on the host whoever is master.

use lvs_vrrp::declared::{Lasting, Route, Rule, Unread};

use super::Check;
use crate::config::mistake::Mistake;
use crate::config::schema::Text;
use crate::config::schema::vrrp as written;

impl Check {
    pub(super) fn routes(&mut self, texts: &[Text]) -> Vec<Route> {
        texts.iter().filter_map(|text| self.read(text, Route::parse)).collect()
    }

    pub(super) fn rules(&mut self, texts: &[Text]) -> Vec<Rule> {
        texts.iter().filter_map(|text| self.read(text, |words| Rule::parse(words, None))).collect()
    }

    fn read<T>(&mut self, text: &Text, parse: impl FnOnce(&[&str]) -> Result<T, Unread>) -> Option<T> {
        let words: Vec<&str> = text.as_ref().split_whitespace().collect();
        let told = |unread: Unread| Mistake::new(text.span(), unread.title, unread.expected);
        parse(&words).map_err(|unread| self.mistakes.push(told(unread))).ok()
    }

    pub(super) fn lasting(&mut self, vrrp: &written::Vrrp) -> Lasting {
        for address in &vrrp.static_address {
            if address.as_ref().0.interface.is_none() {
                let title = "a static address without its interface";
                let expected = "expected { address = \"192.0.2.1/24\", interface = \"eth0\" }";
                self.mistakes.push(Mistake::new(address.span(), title, expected));
            }
        }
        Lasting {
            addresses: self.addresses(&vrrp.static_address),
            routes: self.routes(&vrrp.static_route),
            rules: self.rules(&vrrp.static_rule),
        }
    }
}
