//! Kernel parameters below `/proc/sys/net`, and which others a write to one of them changes too.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::Error;

const ROOT: &str = "/proc/sys";

/// Reads the parameter `key` (slash-separated, such as `net/ipv4/ip_forward`).
pub(crate) fn read(key: &str) -> Result<String, Error> {
    let failed = |source| Error::Sysctl { key: key.to_owned(), source };
    let text = fs::read_to_string(path(key)?).map_err(failed)?;
    Ok(text.trim_end().to_owned())
}

/// Reads the parameter, or none when it does not exist (its interface or module is not there).
pub(crate) fn read_if_there(key: &str) -> Result<Option<String>, Error> {
    match read(key) {
        Ok(value) => Ok(Some(value)),
        Err(Error::Sysctl { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the parameter; false when it had this value.
pub(crate) fn write(key: &str, value: &str) -> Result<bool, Error> {
    if read(key)? == value {
        return Ok(false);
    }
    fs::write(path(key)?, value).map_err(|source| Error::Sysctl { key: key.to_owned(), source })?;
    Ok(true)
}

/// A key may come from a journal: it must not lead out of `/proc/sys/net`.
fn path(key: &str) -> Result<PathBuf, Error> {
    let is_plain = key.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !is_plain || !key.starts_with("net/") {
        return Err(Error::Unfit(format!("{key} is not a network parameter")));
    }
    Ok(PathBuf::from(ROOT).join(key))
}

/// The parameters whose values a write to `key` may change besides its own, on a host with `interfaces`.
///
/// * `inet_forward_change` (`ip_forward`): every interface's `forwarding`, the default's, and
///   `all/accept_redirects`;
/// * `addrconf_fixup_forwarding` (IPv6 `all/forwarding`): every interface's and the default's;
/// * `devinet_copy_dflt_conf` (`ipv4/conf/default/X`): X of every interface where it was never set.
pub(crate) fn side_effects(key: &str, interfaces: &[String]) -> Vec<String> {
    let each = |family: &str, name: &str| -> Vec<String> {
        interfaces.iter().map(|interface| format!("net/{family}/conf/{interface}/{name}")).collect()
    };
    if key == "net/ipv4/ip_forward" {
        let mut keys = vec!["net/ipv4/conf/default/forwarding".to_owned()];
        keys.extend(each("ipv4", "forwarding"));
        keys.push("net/ipv4/conf/all/accept_redirects".to_owned());
        keys
    } else if key == "net/ipv6/conf/all/forwarding" {
        let mut keys = vec!["net/ipv6/conf/default/forwarding".to_owned()];
        keys.extend(each("ipv6", "forwarding"));
        keys
    } else if let Some(name) = key.strip_prefix("net/ipv4/conf/default/") {
        each("ipv4", name)
    } else {
        Vec::new()
    }
}

/// The key as `sysctl -w` takes it: dots between the parts, a slash for a dot within one.
pub(crate) fn dotted(key: &str) -> String {
    key.chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_with_a_dot_in_its_name_keeps_it_in_the_command() {
        assert_eq!(dotted("net/ipv4/conf/eth0.100/rp_filter"), "net.ipv4.conf.eth0/100.rp_filter");
    }

    #[test]
    fn a_key_cannot_lead_out_of_the_network_parameters() {
        for key in ["kernel/core_pattern", "net/../kernel/core_pattern", "net//x", "/etc/passwd", ""] {
            assert!(matches!(read(key), Err(Error::Unfit(_))), "{key}");
        }
        assert!(read("net/ipv4/ip_forward").is_ok());
        assert!(read_if_there("net/ipv4/conf/no-such-if/forwarding").unwrap().is_none());
    }

    #[test]
    fn what_a_write_changes_besides_is_known() {
        let interfaces = ["lo".to_owned(), "eth0".to_owned()];
        assert_eq!(
            side_effects("net/ipv4/ip_forward", &interfaces),
            [
                "net/ipv4/conf/default/forwarding",
                "net/ipv4/conf/lo/forwarding",
                "net/ipv4/conf/eth0/forwarding",
                "net/ipv4/conf/all/accept_redirects"
            ]
        );
        assert_eq!(
            side_effects("net/ipv4/conf/default/send_redirects", &interfaces[1..]),
            ["net/ipv4/conf/eth0/send_redirects"]
        );
        assert!(side_effects("net/ipv4/conf/all/send_redirects", &interfaces).is_empty());
    }
}
