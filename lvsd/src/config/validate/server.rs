//! Real servers out of the file.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use toml::Spanned;

use super::{Check, MAX_INT};
use crate::config::mistake::Mistake;
use crate::config::schema::{self, Number, Text};
use crate::message::{Family, ForwardMethod, RealServer, ServiceId, TunnelChecksum, TunnelKind};

const METHODS: [&str; 3] = ["nat", "dr", "tun"];
const TUNNELS: [&str; 3] = ["ipip", "gue", "gre"];
const CHECKSUMS: [&str; 3] = ["none", "full", "remote"];

impl Check {
    /// The real servers, each with what the file says of it.
    pub(super) fn servers<'a>(
        &mut self,
        servers: &'a [Spanned<schema::Server>],
        id: &ServiceId,
    ) -> Vec<(RealServer, &'a schema::Server)> {
        let mut seen: Vec<(SocketAddr, Range<usize>)> = Vec::new();
        let mut done = Vec::new();
        for server in servers {
            let server = server.as_ref();
            let Some(real) = self.server(server, id) else { continue };
            let endpoint = SocketAddr::new(real.rip, real.port);
            let span = server.address.span();
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == endpoint) {
                self.mistakes.push(
                    Mistake::new(span, "this real server stands twice in one service", "again here")
                        .with_also(first.clone(), "first here"),
                );
                continue;
            }
            seen.push((endpoint, span));
            done.push((real, server));
        }
        done
    }

    fn server(&mut self, server: &schema::Server, id: &ServiceId) -> Option<RealServer> {
        let method = self.method(server.method.as_ref(), server.tunnel.as_ref())?;
        let (rip, port) = self.server_address(&server.address)?;
        let service_port = match id {
            ServiceId::Address { port, .. } => *port,
            ServiceId::Mark { .. } => 0,
        };
        let is_nat = method == ForwardMethod::Masquerade;
        // Behind a mark there is no port of a service's.
        let is_address = matches!(id, ServiceId::Address { .. });
        if !is_nat && is_address && port.is_some_and(|port| port != service_port) {
            self.mistakes.push(
                Mistake::new(
                    server.address.span(),
                    "only NAT can change the port",
                    "another port than the service's",
                )
                .with_help(format!("write `{rip}` alone, or `method = \"nat\"`")),
            );
        }
        if Family::of(rip) != id.family() && !matches!(method, ForwardMethod::Tunnel(_)) {
            self.mistakes.push(Mistake::new(
                server.address.span(),
                "a server of another address family than its service",
                "only a tunnel can change the family",
            ));
        }
        Some(RealServer {
            rip,
            port: port.unwrap_or(service_port),
            method,
            weight: self.optional(server.weight.as_ref(), "a weight", 0..=MAX_INT).unwrap_or(1),
            upper_threshold: self.threshold(server.upper_threshold.as_ref()),
            lower_threshold: self.threshold(server.lower_threshold.as_ref()),
        })
    }

    fn threshold(&mut self, value: Option<&Number>) -> u32 {
        self.optional(value, "a number of connections, 0 for no limit", 0..=MAX_INT).unwrap_or_default()
    }

    pub(super) fn method(
        &mut self,
        method: Option<&Text>,
        tunnel: Option<&Spanned<schema::Tunnel>>,
    ) -> Option<ForwardMethod> {
        let name = match method {
            Some(name) => self.one_of(name, "way of forwarding", &METHODS)?,
            None => "dr",
        };
        if let Some(tunnel) = tunnel
            && name != "tun"
        {
            self.mistakes.push(Mistake::new(
                tunnel.span(),
                "`tunnel` without `method = \"tun\"`",
                "this server is not reached by a tunnel",
            ));
        }
        match name {
            "nat" => Some(ForwardMethod::Masquerade),
            "dr" => Some(ForwardMethod::DirectRoute),
            _ => self.tunnel(tunnel).map(ForwardMethod::Tunnel),
        }
    }

    fn tunnel(&mut self, tunnel: Option<&Spanned<schema::Tunnel>>) -> Option<TunnelKind> {
        let Some(spanned) = tunnel else { return Some(TunnelKind::Ipip) };
        let tunnel = spanned.as_ref();
        let kind = self.one_of(&tunnel.kind, "type of tunnel", &TUNNELS)?;
        let checksum = match &tunnel.checksum {
            Some(name) => match self.one_of(name, "checksum", &CHECKSUMS)? {
                "none" => TunnelChecksum::None,
                "full" => TunnelChecksum::Full,
                _ => TunnelChecksum::Remote,
            },
            None => TunnelChecksum::None,
        };
        let port = self.optional(tunnel.port.as_ref(), "a UDP port", 1..=i64::from(u16::MAX));
        match (kind, port, checksum) {
            ("ipip", None, TunnelChecksum::None) => Some(TunnelKind::Ipip),
            ("gue", Some(port), checksum) => Some(TunnelKind::Gue { port, checksum }),
            ("gre", None, TunnelChecksum::None | TunnelChecksum::Full) => Some(TunnelKind::Gre { checksum }),
            (kind, _, _) => {
                let expected = match kind {
                    "gue" => "gue needs a port",
                    "gre" => "gre takes no port, and no checksum but `none` and `full`",
                    _ => "ipip takes neither port nor checksum",
                };
                self.mistakes.push(Mistake::new(spanned.span(), "a tunnel that cannot be", expected));
                None
            }
        }
    }

    pub(super) fn server_address(&mut self, text: &Text) -> Option<(IpAddr, Option<u16>)> {
        let written = text.as_ref();
        if let Ok(address) = written.parse::<IpAddr>() {
            return Some((address, None));
        }
        let expected = "an address, with a port or without: 10.0.0.1:80, 10.0.0.1, [fd00::1]:80";
        let socket: SocketAddr = self.parsed(text, expected)?;
        Some((socket.ip(), Some(socket.port())))
    }
}
