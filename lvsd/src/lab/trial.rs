//! The trial: real requests through the director, who answered them, and what the director says of it.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use super::network::Lab;
use super::plan::Way;
use super::screen::Screen;
use super::server::{ECHO, HTTP};
use super::{LabError, ask, client};
use crate::adm::{self, Names};
use crate::control::Client;
use crate::message::{Request, Response, Status};

/// Requests of one kind to one service: enough for every server to have its turn twice.
const ROUNDS: usize = 2;

/// How it went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    tried: usize,
    worked: usize,
    requests: usize,
    balance: Option<Status>,
}

impl Outcome {
    /// True when every request was answered, every server had its turn and every packet is accounted for.
    pub(super) fn is_good(&self) -> bool {
        self.worked == self.tried && self.balance.as_ref().is_some_and(balances)
    }

    /// It all in one line.
    pub(super) fn verdict(&self) -> String {
        let accounts = match &self.balance {
            Some(status) if balances(status) => format!("all {} packets accounted for", status.received),
            Some(_) => "the accounts of packets do not balance".to_owned(),
            None => "the director does not answer".to_owned(),
        };
        let word = if self.is_good() { "It works" } else { "It does not work" };
        format!("{word}: {} of {} services, {} requests, {accounts}.", self.worked, self.tried, self.requests)
    }
}

fn balances(status: &Status) -> bool {
    status.received == status.forwarded + status.to_host + status.dropped + status.held
}

/// Sends the requests and shows everything.
pub(super) fn run(screen: &Screen, lab: &Lab) -> Result<Outcome, LabError> {
    let mut outcome = Outcome::default();
    for way in lab.plan().ways.clone() {
        screen.heading(capitalised(way.title()));
        screen.block(way.picture());
        screen.line("");
        for vip in way.vips() {
            let http = SocketAddr::new(vip, HTTP);
            try_service(screen, lab, way, "curl", http, &mut outcome, |_| client::ask_http(http))?;
            let echo = SocketAddr::new(vip, ECHO);
            let ask = |turn| client::ask_udp(echo, &format!("datagram {turn}"));
            try_service(screen, lab, way, "udp", echo, &mut outcome, ask)?;
        }
    }
    show_listings(screen, lab);
    outcome.balance = show_accounts(screen, lab);
    if !outcome.is_good() {
        screen.heading("The director's last words:");
        screen.block(&lab.directors_words());
    }
    Ok(outcome)
}

fn try_service(
    screen: &Screen,
    lab: &Lab,
    way: Way,
    tool: &str,
    service: SocketAddr,
    outcome: &mut Outcome,
    ask: impl Fn(usize) -> io::Result<String> + Sync,
) -> Result<(), LabError> {
    let names = lab.plan().names(way);
    let client = lab.host("client")?;
    let mut answers: Vec<String> = Vec::new();
    let mut failure = None;
    for turn in 0..names.len() * ROUNDS {
        lab.check()?;
        match client.inside(|| ask(turn))? {
            Ok(name) => answers.push(name),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let is_good = failure.is_none() && names.iter().all(|name| answers.iter().any(|answer| answer == name));
    outcome.tried += 1;
    outcome.worked += usize::from(is_good);
    outcome.requests += answers.len();
    let target = if tool == "curl" { format!("curl http://{service}/") } else { format!("udp {service}") };
    let mut line = format!("  {} {target:<38} {}", screen.mark(is_good), answers.join(" "));
    if let Some(error) = failure {
        let _ = write!(line, " -- {error}");
    } else if !is_good {
        let _ = write!(line, " -- not every one of {} was chosen", names.join(", "));
    }
    screen.line(line);
    Ok(())
}

fn show_listings(screen: &Screen, lab: &Lab) {
    for args in [&["-L", "-n"][..], &["-L", "-n", "--stats"], &["-L", "-n", "-c"]] {
        let mut said = Vec::new();
        let mut complaints = Vec::new();
        let mut backend = Client::new(lab.socket());
        adm::run(args, Names::System, &mut io::empty(), &mut backend, &mut said, &mut complaints);
        let command = match args {
            [_, _, "--stats"] => "lvsadm -Ln --stats",
            [_, _, "-c"] => "lvsadm -Lnc",
            _ => "lvsadm -Ln",
        };
        screen.heading(format_args!("$ {command}"));
        screen.block(&shortened(&String::from_utf8_lossy(&said), 40));
        screen.block(&String::from_utf8_lossy(&complaints));
    }
}

/// The first lines, and how many more there are.
fn shortened(text: &str, most: usize) -> String {
    let count = text.lines().count();
    let mut shown: String = text.lines().take(most).flat_map(|line| [line, "\n"]).collect();
    if count > most {
        let _ = writeln!(shown, "... and {} more", count - most);
    }
    shown
}

fn show_accounts(screen: &Screen, lab: &Lab) -> Option<Status> {
    let Some(Response::Status(status)) = ask(&lab.socket(), Request::Status) else { return None };
    screen.heading("Where every packet went");
    screen.block(&format!(
        "received {} = forwarded {} + to the host {} + dropped {} + held {}",
        status.received, status.forwarded, status.to_host, status.dropped, status.held
    ));
    if let Some(Response::Drops { drops }) = ask(&lab.socket(), Request::Drops) {
        for drop in drops.iter().filter(|drop| drop.packets > 0) {
            screen.block(&format!("dropped {}: {} ({})", drop.packets, drop.reason, drop.meaning));
        }
    }
    Some(status)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lost_packet_spoils_the_verdict() {
        let status =
            Status { received: 10, forwarded: 7, to_host: 1, dropped: 1, held: 1, ..Status::default() };
        let good = Outcome { tried: 2, worked: 2, requests: 8, balance: Some(status.clone()) };
        assert!(good.is_good(), "{}", good.verdict());
        let bad = Outcome { balance: Some(Status { held: 0, ..status }), ..good };
        assert!(!bad.is_good(), "{}", bad.verdict());
    }

    #[test]
    fn a_long_listing_is_cut_and_says_so() {
        assert_eq!(shortened("a\nb\nc\n", 2), "a\nb\n... and 1 more\n");
        assert_eq!(shortened("a\nb\n", 2), "a\nb\n");
    }
}
