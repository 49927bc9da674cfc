//! The stage a timeline is played on: registry and director, in one process, without a device.

use std::io::empty;
use std::sync::Arc;

use lvs_conntrack::Tick;
use lvs_forward::io::Forwarder;
use lvs_forward::{Packet, PortId, Verdict};
use serde_json::{Value, json};

use super::card::Card;
use super::host;
use super::timeline::{Case, Step, decode, encode, words};
use super::{ReplayError, Topology};
use crate::adm::{self, Names};
use crate::director::{Account, Director, Exit, Plane};
use crate::message::Request;
use crate::proc::File;
use crate::services::Registry;

/// Room before a frame for outer headers and behind it for answers.
const ROOM: usize = 256;
/// Connections the replayed director may have.
const CONNECTIONS: usize = 1 << 20;
/// The memory that is left, in pages: a GiB, unless `amemthresh` says that this is short.
const MEMORY: i32 = 1 << 18;

pub(super) struct Stage {
    topology: Topology,
    registry: Registry,
    director: Director,
    card: Option<Card>,
}

impl Stage {
    /// A stage as the case sets it up.
    pub(super) fn new(topology: Topology, case: &Case, is_cached: bool) -> Result<Self, ReplayError> {
        let wrong = |what: String| ReplayError::Line { line: 1, what };
        let plane = Arc::new(Plane::new(1, CONNECTIONS, 1));
        let mut registry = Registry::new(Arc::clone(&plane), 1);
        registry.set_available_memory(MEMORY);
        registry.set_fib(topology.fib(case)?);
        registry.set_marks(case.marks().map_err(wrong)?).map_err(|error| wrong(error.to_string()))?;
        for (name, value) in &case.sysctl {
            let value = value.as_str().map_or_else(|| value.to_string(), Into::into);
            registry.set_sysctl(name, &value).map_err(|error| wrong(format!("{name}={value}: {error}")))?;
        }
        let card = if is_cached { Some(Card::insert(&topology)?) } else { None };
        if let Some(card) = &card {
            plane.set_cache(card.cache());
        }
        Ok(Self { topology, registry, director: Director::new(plane, 0), card })
    }

    /// The same surroundings, another case.
    pub(super) fn reset(self, case: &Case) -> Result<Self, ReplayError> {
        Self::new(self.topology, case, self.card.is_some())
    }

    pub(super) fn account(&self) -> Account {
        self.registry.plane().account()
    }

    /// Plays one step: puts our answer into its line and returns the lines that follow it.
    pub(super) fn play(&mut self, step: &Step, line: &mut Value) -> Result<Vec<Value>, String> {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a timeline is shorter than that"
        )]
        let now = Tick::from_millis((step.t * 1000.0) as u64);
        if let Some(cache) = self.registry.plane().cache() {
            cache.set_time(now);
        }
        // The snapshot before the last change must not keep what was removed.
        self.director.refresh();
        self.director.hand_in(now);
        self.registry.plane().settle_cache(now);
        self.registry.plane().sweep(now, usize::MAX);
        self.registry.tick(now);
        self.director.refresh();
        match step.op.as_str() {
            "in" => return self.receive(step, now),
            "ipvsadm" => {
                let (status, text) = self.command(&step.args, now);
                set(line, "rc", json!(status));
                set(line, "text", json!(text));
            }
            "list" => {
                let file = step.args.strip_prefix("proc ");
                let text = match file {
                    Some(name) => self.file(name, now)?,
                    None => self.command(&step.args, now).1,
                };
                set(line, "text", json!(text));
            }
            "sysctl" => {
                let (name, value) = step.set.split_once('=').ok_or("set: expected NAME=VALUE")?;
                let done = self.registry.set_sysctl(name.trim(), value.trim());
                done.map_err(|error| format!("{}: {error}", step.set))?;
            }
            _ => {}
        }
        Ok(Vec::new())
    }

    /// The text of a file of `/proc/net`.
    fn file(&mut self, name: &str, now: Tick) -> Result<String, String> {
        let file = File::ALL.into_iter().find(|file| file.name() == name);
        let file = file.ok_or_else(|| format!("proc {name}: there is no such file"))?;
        Ok(file.text(&self.registry.apply(file.request(), now)).unwrap_or_default())
    }

    /// Runs an ipvsadm command line; returns its status and all that it printed.
    fn command(&mut self, args: &str, now: Tick) -> (u8, String) {
        let args = words(args);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (mut printed, mut complained) = (Vec::new(), Vec::new());
        let registry = &mut self.registry;
        let mut backend = |request: Request| registry.apply(request, now);
        let status =
            adm::run(&args, Names::BuiltIn, &mut empty(), &mut backend, &mut printed, &mut complained);
        printed.append(&mut complained);
        (status, String::from_utf8_lossy(&printed).into_owned())
    }

    fn receive(&mut self, step: &Step, now: Tick) -> Result<Vec<Value>, String> {
        let frame = decode(&step.frame).ok_or("frame: no hexadecimal digits")?;
        let ingress =
            self.topology.port(&step.interface).ok_or_else(|| format!("no interface {}", step.interface))?;
        if let Some(card) = &self.card
            && let Some((port, frame)) = card.receive(&frame, ingress).map_err(|error| error.to_string())?
        {
            let name = self.topology.name(port).unwrap_or_default();
            return Ok(vec![json!({"op": "out", "n": step.n, "if": name, "frame": encode(&frame)})]);
        }
        let mut buffer = vec![0; ROOM + frame.len() + 2048];
        buffer.get_mut(ROOM..ROOM + frame.len()).unwrap_or_default().copy_from_slice(&frame);
        let mut packet = Packet::new(&mut buffer, ROOM, frame.len());
        let snapshot = self.registry.plane().snapshot();
        let verdict = self.director.handle(ingress, &mut packet, now);
        let mut lines = Vec::new();
        let mut emit = |port: PortId, frame: &[u8]| {
            let name = self.topology.name(port).unwrap_or_default();
            lines.push(json!({"op": "out", "n": step.n, "if": name, "frame": encode(frame)}));
        };
        let mut note = None;
        match verdict {
            Verdict::Send(port) => emit(port, packet.bytes()),
            Verdict::Answer(port, reason) => {
                emit(port, packet.bytes());
                note = Some(json!({"op": "drop", "n": step.n, "reason": reason.label()}));
            }
            Verdict::Drop(reason) => {
                note = Some(json!({"op": "drop", "n": step.n, "reason": reason.label()}));
            }
            Verdict::ToHost => {
                note = Some(json!({"op": "host", "n": step.n}));
                host::receive(&mut self.director, &snapshot, &mut packet, now, &mut emit);
            }
            Verdict::Hold => {}
        }
        let mut kept = Vec::new();
        self.director.release(now, |exit, frame| match exit {
            Exit::Port(port) => emit(port, frame),
            Exit::Host => kept.push(frame.to_vec()),
        });
        for mut frame in kept {
            let len = frame.len();
            host::receive(
                &mut self.director,
                &snapshot,
                &mut Packet::new(&mut frame, 0, len),
                now,
                &mut emit,
            );
        }
        lines.extend(note);
        Ok(lines)
    }
}

fn set(line: &mut Value, name: &str, value: Value) {
    if let Some(object) = line.as_object_mut() {
        object.insert(name.into(), value);
    }
}
