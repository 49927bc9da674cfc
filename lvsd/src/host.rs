//! `lvsd host`: sets a director's or a real server's host up, checks it, and puts it back.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use lvs_forward::io::xdp::decap::{self, Decap};
use lvs_netcfg::{
    Change, Decapsulator, Director, Error, Host, Method, NatSource, RealServer, Reverted, Role, RoleName,
    SourceNat, Undone, Vip,
};

use crate::args::{DirectorArgs, HostAction, HostCommand, RealServerArgs, RealServerMode};
use crate::config::HostConfig;

/// The port of Generic UDP Encapsulation that `ipvsadm --tun-port` is mostly given.
const GUE: u16 = 6080;

/// Why a command about the host came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// An option is missing.
    #[error("{0}")]
    Incomplete(&'static str),
    /// The host refused.
    #[error(transparent)]
    Refused(#[from] Error),
}

/// Carries the command out; true when nothing was found wrong.
///
/// # Errors
/// [`HostError`]; what had been changed by then is taken back.
pub fn run(command: &HostCommand) -> Result<bool, HostError> {
    match command {
        HostCommand::Director(args) => {
            let role = || director(args).map(Role::Director);
            carry_out(args.action, args.dry_run, &args.journal, RoleName::Director, role)
        }
        HostCommand::RealServer(args) => {
            let role = || real_server(args).map(Role::RealServer);
            carry_out(args.action, args.dry_run, &args.journal, RoleName::RealServer, role)
        }
    }
}

/// What a configuration file wants of the director's host; `interfaces` are those the director serves.
pub fn role_of(config: &HostConfig, interfaces: &[String]) -> Role {
    Role::Director(Director {
        vips: config
            .vips
            .iter()
            .map(|vip| Vip { ip: vip.address, interface: vip.interface.clone(), label: vip.label.clone() })
            .collect(),
        forwarding: true,
        interfaces: interfaces.to_vec(),
        source_nat: config
            .source_nat
            .iter()
            .map(|nat| SourceNat { from: nat.from, to: source(nat.to), out: nat.out.clone() })
            .collect(),
    })
}

fn source(address: Option<IpAddr>) -> NatSource {
    address.map_or(NatSource::Masquerade, NatSource::Fixed)
}

fn director(args: &DirectorArgs) -> Result<Director, HostError> {
    let interface = match &args.dev {
        Some(dev) => dev.clone(),
        None if args.vips.is_empty() => String::new(),
        None => {
            return Err(HostError::Incomplete("--vip needs --dev: the interface that carries the address"));
        }
    };
    let masqueraded = args.masquerade.iter().map(|&from| (from, NatSource::Masquerade));
    let fixed = args.snat.iter().map(|&(from, to)| (from, NatSource::Fixed(to)));
    let vip = |&ip| Vip { ip, interface: interface.clone(), label: args.label.clone() };
    Ok(Director {
        vips: args.vips.iter().map(vip).collect(),
        forwarding: true,
        interfaces: args.dev.iter().cloned().collect(),
        source_nat: masqueraded
            .chain(fixed)
            .map(|(from, to)| SourceNat { from, to, out: args.out.clone() })
            .collect(),
    })
}

fn real_server(args: &RealServerArgs) -> Result<RealServer, HostError> {
    let Some(mode) = args.mode else {
        return Err(HostError::Incomplete("--mode is missing: nat, dr or tun"));
    };
    let method = match mode {
        RealServerMode::Nat if args.director.is_empty() => {
            return Err(HostError::Incomplete("--mode nat needs --director: its address on this network"));
        }
        RealServerMode::Nat => Method::Masquerade { directors: args.director.clone(), clients: Vec::new() },
        RealServerMode::Dr => Method::DirectRoute,
        RealServerMode::Tun => match &args.dev {
            Some(dev) => Method::Tunnel { interfaces: vec![dev.clone()] },
            None => {
                return Err(HostError::Incomplete("--mode tun needs --dev: where tunnelled packets come in"));
            }
        },
    };
    if mode != RealServerMode::Nat && args.vips.is_empty() {
        return Err(HostError::Incomplete("--vip is missing: the address of a service"));
    }
    Ok(RealServer { method, vips: args.vips.clone() })
}

fn carry_out(
    action: HostAction,
    is_dry: bool,
    journal: &Path,
    name: RoleName,
    role: impl FnOnce() -> Result<Role, HostError>,
) -> Result<bool, HostError> {
    let mut decapsulator = XdpDecapsulator;
    let mut host = Host::open(journal)?.with_decapsulator(&mut decapsulator);
    match (action, is_dry) {
        (HostAction::Apply, true) => role()?.dry_run()?.into_iter().for_each(say),
        (HostAction::Apply, false) => {
            host.apply(&role()?)?.iter().flat_map(Change::commands).for_each(say);
        }
        (HostAction::Revert, true) => host.revert_commands(name)?.into_iter().for_each(say),
        (HostAction::Revert, false) => host.revert(name)?.iter().for_each(say_reverted),
        (HostAction::Check, _) => {
            let findings = host.check(&role()?)?;
            findings.iter().for_each(say);
            return Ok(findings.is_empty());
        }
    }
    Ok(true)
}

fn say_reverted(reverted: &Reverted) {
    let change = reverted.change.commands().join(" && ");
    if reverted.undone == Undone::Restored {
        say(format_args!("taken back: {change}"));
    } else {
        say(format_args!("left alone: {change} ({:?})", reverted.undone));
    }
}

fn say(line: impl Display) {
    // Nobody may be listening any more; the work is done all the same.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Takes tunnels' outer headers off with an XDP program, which stays attached without a process of ours.
#[derive(Debug)]
pub struct XdpDecapsulator;

impl Decapsulator for XdpDecapsulator {
    fn attach(&mut self, interface: &str, vips: &[IpAddr], own: &[IpAddr]) -> io::Result<()> {
        let wanted = Decap {
            outer: own.iter().copied().collect::<BTreeSet<_>>(),
            vips: vips.iter().copied().collect(),
            gue_port: Some(GUE),
        };
        decap::attach(interface, &wanted, None).map(drop).map_err(io::Error::other)
    }

    fn detach(&mut self, interface: &str) -> io::Result<()> {
        decap::detach(interface).map(drop).map_err(io::Error::other)
    }

    fn is_attached(&self, interface: &str) -> io::Result<bool> {
        Ok(decap::attached(interface).map_err(io::Error::other)?.is_some())
    }
}
