//! Services in the format of `ipvsadm -S`: one `-A` or `-a` a line, read by ipvsadm's own grammar.

use std::io;
use std::ops::Range;

use super::mistake::Mistake;
use super::{ServiceConfig, schedulers};
use crate::adm::{self, Names};
use crate::message::{RealServer, Request, Response, ServiceId, VirtualService};

/// Reads the services of `source` behind those that are there already.
///
/// # Errors
/// Every mistake that was found; a line that is wrong does not hide those after it.
pub(super) fn parse(source: &str, before: &[ServiceConfig]) -> Result<Vec<ServiceConfig>, Vec<Mistake>> {
    let mut services = before.to_vec();
    let mut mistakes = Vec::new();
    for line in lines(source) {
        let outcome = request(&line).and_then(|request| apply(&line, request, &mut services));
        mistakes.extend(outcome.err());
    }
    if mistakes.is_empty() { Ok(services) } else { Err(mistakes) }
}

/// A line's words with their places.
struct Line<'a> {
    span: Range<usize>,
    words: Vec<(Range<usize>, &'a str)>,
}

impl Line<'_> {
    /// The word that stands behind one of `options`, or the whole line.
    fn behind(&self, options: &[&str]) -> Range<usize> {
        let option = self.words.iter().position(|(_, word)| options.contains(word));
        let value = option.and_then(|index| self.words.get(index + 1));
        value.map_or_else(|| self.span.clone(), |(span, _)| span.clone())
    }
}

fn lines(source: &str) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    source.split_inclusive('\n').filter_map(move |text| {
        let offset = start;
        start += text.len();
        let content = text.trim();
        if content.is_empty() || content.starts_with('#') {
            return None;
        }
        let begin = offset + (text.len() - text.trim_start().len());
        Some(Line { span: begin..begin + content.len(), words: words(content, begin) })
    })
}

fn words(content: &str, begin: usize) -> Vec<(Range<usize>, &str)> {
    let mut at = 0;
    let mut found = Vec::new();
    for word in content.split_whitespace() {
        let start = content.get(at..).and_then(|rest| rest.find(word)).map_or(at, |skip| at + skip);
        at = start + word.len();
        found.push((begin + start..begin + at, word));
    }
    found
}

fn request(line: &Line<'_>) -> Result<Request, Mistake> {
    let words: Vec<&str> = line.words.iter().map(|(_, word)| *word).collect();
    let mut asked = None;
    let mut said = Vec::new();
    let mut backend = |request: Request| {
        asked = Some(request);
        Response::Done
    };
    let status = adm::run(&words, Names::System, &mut io::empty(), &mut backend, &mut io::sink(), &mut said);
    match asked {
        Some(request) if status == 0 => Ok(request),
        _ => Err(refused(line, &String::from_utf8_lossy(&said))),
    }
}

/// What ipvsadm would say of the line, at the word it speaks of.
fn refused(line: &Line<'_>, said: &str) -> Mistake {
    let first = said.lines().find(|text| !text.trim().is_empty()).unwrap_or("this is no rule").trim();
    let subject = SUBJECTS.iter().find(|(subject, _)| first.contains(subject));
    let span = if let Some((_, options)) = subject {
        line.behind(options)
    } else {
        let named = line.words.iter().find(|(_, word)| word.len() > 2 && first.contains(*word));
        named.map_or_else(|| line.span.clone(), |(span, _)| span.clone())
    };
    Mistake::new(span, first, "expected a rule as `ipvsadm -S` writes it")
        .with_help("such as `-A -t 192.0.2.10:80 -s wlc` or `-a -t 192.0.2.10:80 -r 10.0.0.1:80 -m -w 1`")
}

/// What ipvsadm's messages speak of, and the options whose value that is.
const SUBJECTS: &[(&str, &[&str])] = &[
    ("virtual server address", SERVICE_OPTIONS),
    ("fwmark", SERVICE_OPTIONS),
    ("real server address", &["-r", "--real-server"]),
    ("weight", &["-w", "--weight"]),
    ("netmask", &["-M", "--netmask"]),
    ("timeout", &["-p", "--persistent"]),
    ("u_threshold", &["-x", "--u-threshold"]),
    ("l_threshold", &["-y", "--l-threshold"]),
];

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "a file of rules can only add; every other request is refused"
)]
fn apply(line: &Line<'_>, request: Request, services: &mut Vec<ServiceConfig>) -> Result<(), Mistake> {
    match request {
        Request::AddService(service) => add_service(line, service, services),
        Request::AddServer { id, server } => add_server(line, &id, server, services),
        _ => Err(Mistake::new(
            line.words.first().map_or_else(|| line.span.clone(), |(span, _)| span.clone()),
            "a file of rules only adds",
            "expected `-A` or `-a`",
        )),
    }
}

fn add_service(
    line: &Line<'_>,
    service: VirtualService,
    services: &mut Vec<ServiceConfig>,
) -> Result<(), Mistake> {
    let known = schedulers();
    if !known.contains(&service.scheduler.as_str()) {
        let span = line.behind(&["-s", "--scheduler"]);
        let title = format!("unknown scheduler `{}`", service.scheduler);
        let mistake = Mistake::new(span, title, format!("expected one of: {}", known.join(", ")));
        let mistake = mistake.suggesting(&service.scheduler, known);
        // Its servers are no mistakes of their own.
        services.push(ServiceConfig { service, servers: Vec::new() });
        return Err(mistake);
    }
    if services.iter().any(|other| other.service.id == service.id) {
        let span = line.behind(SERVICE_OPTIONS);
        return Err(Mistake::new(span, "this virtual service is there already", "added again here"));
    }
    services.push(ServiceConfig { service, servers: Vec::new() });
    Ok(())
}

fn add_server(
    line: &Line<'_>,
    id: &ServiceId,
    server: RealServer,
    services: &mut [ServiceConfig],
) -> Result<(), Mistake> {
    let Some(service) = services.iter_mut().find(|service| service.service.id == *id) else {
        let span = line.behind(SERVICE_OPTIONS);
        return Err(Mistake::new(span, "a server of a service that is not there", "no `-A` for it above"));
    };
    if service.servers.iter().any(|other| (other.rip, other.port) == (server.rip, server.port)) {
        let span = line.behind(&["-r", "--real-server"]);
        return Err(Mistake::new(span, "this real server is in the service already", "added again here"));
    }
    service.servers.push(server);
    Ok(())
}

const SERVICE_OPTIONS: &[&str] =
    &["-t", "--tcp-service", "-u", "--udp-service", "--sctp-service", "-f", "--fwmark-service"];
