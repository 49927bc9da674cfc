//! The values of `net.ipv4.vs` in the file's table `[vs]`.

use toml::{Spanned, Value};

use super::Check;
use crate::config::mistake::Mistake;
use crate::config::schema::Text;
use crate::services::Sysctls;

impl Check {
    /// A name of the kernel's with a number, or with text where it is more than one number.
    pub(super) fn sysctl(&mut self, name: &Text, value: &Spanned<Value>) -> Option<(&'static str, String)> {
        let written = name.as_ref();
        let Some(known) = Sysctls::names().find(|known| known == written) else {
            let title = format!("unknown key `{written}`");
            let mistake =
                Mistake::new(name.span(), title, "expected a name of net.ipv4.vs, without that prefix");
            self.mistakes.push(mistake.suggesting(written, Sysctls::names()));
            return None;
        };
        let text = value.as_ref().as_str().map_or_else(|| value.as_ref().to_string(), str::to_owned);
        let is_number = matches!(value.as_ref(), Value::Integer(_) | Value::String(_));
        if !is_number || Sysctls::default().set_text(known, &text).is_err() {
            let title = format!("invalid argument `{text}` for {known}");
            self.mistakes.push(Mistake::new(value.span(), title, "expected a value the kernel takes"));
            return None;
        }
        Some((known, text))
    }
}
