//! Names and addresses an operator gave, checked before they become paths, commands or rules.

use std::net::IpAddr;

use crate::Error;

/// The longest name of an interface or label in bytes (`IFNAMSIZ` less its terminator).
const LONGEST: usize = 15;

/// Refuses what cannot be an interface's name (`dev_valid_name`), and quotes on top.
pub(crate) fn validate(name: &str) -> Result<(), Error> {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"/:\"'\\".contains(c);
    if name.is_empty() || name.len() > LONGEST || name == "." || name == ".." || !name.chars().all(is_plain) {
        return Err(Error::Unfit(format!("{name:?} cannot be the name of an interface")));
    }
    Ok(())
}

/// Refuses a label that `ifconfig` would not show under its interface.
pub(crate) fn validate_label(label: &str, interface: &str) -> Result<(), Error> {
    validate(interface)?;
    let number = label.strip_prefix(interface).and_then(|rest| rest.strip_prefix(':'));
    let is_alias = number.is_some_and(|rest| validate(rest).is_ok());
    if (label != interface && !is_alias) || label.len() > LONGEST {
        return Err(Error::Unfit(format!(
            "label {label:?} must be {interface}:SOMETHING, at most {LONGEST} characters"
        )));
    }
    Ok(())
}

/// Refuses what no host can own.
pub(crate) fn validate_vip(ip: IpAddr) -> Result<(), Error> {
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || is_broadcast {
        return Err(Error::Unfit(format!("{ip} cannot be a virtual address")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_become_something_else_are_refused() {
        for name in ["", ".", "..", "a/b", "eth0:0", "a b", "a\"b", "sixteen-letters-", "a\nb"] {
            assert!(validate(name).is_err(), "{name:?}");
        }
        for name in ["eth0", "eth0.100", "br-lan", "fifteen-letters"] {
            assert!(validate(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_label_belongs_to_its_interface() {
        assert!(validate_label("eth0:0", "eth0").is_ok());
        assert!(validate_label("eth0", "eth0").is_ok());
        for label in ["eth1:0", "eth0:", "eth00", "eth0:a b", "eth0:longer-than-that"] {
            assert!(validate_label(label, "eth0").is_err(), "{label}");
        }
    }

    #[test]
    fn only_an_address_a_host_can_own_is_virtual() {
        for ip in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"] {
            assert!(validate_vip(ip.parse().unwrap()).is_err(), "{ip}");
        }
        assert!(validate_vip("192.168.91.148".parse().unwrap()).is_ok());
    }
}
