//! A blocking rtnetlink socket: requests that wait for their answer, and dumps.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "netlink's enums are open: what is not known is passed over"
)]

use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

use crate::Error;

/// Room for one datagram; the kernel fills at most 32 KiB of a dump at once.
const DATAGRAM: usize = 64 * 1024;
/// A dump that was interrupted by a change is asked for again this often.
const DUMP_TRIES: usize = 8;

/// A request socket to rtnetlink, in the network namespace of the thread that opened it.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Netlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netlink").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// What one message of an answer said.
pub(crate) enum Heard {
    /// A message of the routing family, with the flags of its header.
    Message(Box<RouteNetlinkMessage>, u16),
    /// The end of a dump, or an acknowledgement (zero) or refusal.
    End(i32),
    /// Nothing of use: not for us, or not understood.
    Nothing,
}

impl Netlink {
    /// Opens a socket.
    pub(crate) fn open() -> Result<Self, Error> {
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(Error::Socket)?;
        socket.bind_auto().map_err(Error::Socket)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(Error::Socket)?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(DATAGRAM) })
    }

    /// Sends `message` and waits for the kernel's acknowledgement; `action` names it in an error.
    pub(crate) fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        action: &dyn Fn() -> String,
    ) -> Result<(), Error> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        let mut end = None;
        while end.is_none() {
            self.receive(|heard| {
                if let Heard::End(code) = heard {
                    end = Some(code);
                }
            })?;
        }
        refusal(end.unwrap_or(0), action)
    }

    /// Asks for everything of the kind of `message`, again when a change interrupted the answer.
    pub(crate) fn dump(
        &mut self,
        message: &RouteNetlinkMessage,
        what: &str,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        let mut found = Vec::new();
        for _ in 0..DUMP_TRIES {
            found.clear();
            if self.dump_once(message.clone(), what, &mut found)? {
                return Ok(found);
            }
        }
        // A table that changes all the time still ends in a usable answer: the watcher hears of every change.
        Ok(found)
    }

    /// One dump; false when a change made it inconsistent.
    fn dump_once(
        &mut self,
        message: RouteNetlinkMessage,
        what: &str,
        found: &mut Vec<RouteNetlinkMessage>,
    ) -> Result<bool, Error> {
        self.send(message, NLM_F_REQUEST | NLM_F_DUMP)?;
        let (mut end, mut whole) = (None, true);
        while end.is_none() {
            self.receive(|heard| match heard {
                Heard::Message(message, flags) => {
                    whole &= flags & NLM_F_DUMP_INTR == 0;
                    found.push(*message);
                }
                Heard::End(code) => end = Some(code),
                Heard::Nothing => {}
            })?;
        }
        refusal(end.unwrap_or(0), &|| format!("list {what}"))?;
        Ok(whole)
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map_err(Error::Socket)?;
        Ok(())
    }

    /// Reads one datagram and hands on what belongs to the running request.
    fn receive(&mut self, mut on_heard: impl FnMut(Heard)) -> Result<(), Error> {
        self.buffer.clear();
        match self.socket.recv(&mut self.buffer, 0) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => return Ok(()),
            Err(error) => return Err(Error::Socket(error)),
        }
        let sequence = self.sequence;
        each_message(&self.buffer, |header_sequence, heard| {
            if header_sequence == sequence {
                on_heard(heard);
            }
        });
        Ok(())
    }
}

/// Turns the code at an answer's end into a result.
fn refusal(code: i32, action: &dyn Fn() -> String) -> Result<(), Error> {
    match code {
        0 => Ok(()),
        code => Err(Error::Refused { action: action(), errno: Errno::from_raw(code.saturating_abs()) }),
    }
}

/// Walks the messages of one datagram; gives each one's sequence number and content.
///
/// A message that cannot be parsed is reported as [`Heard::Nothing`]: a strange attribute on one
/// link must not hide the others.
pub(crate) fn each_message(mut datagram: &[u8], mut on_message: impl FnMut(u32, Heard)) {
    while let Some((length, sequence)) = frame(datagram) {
        let (message, rest) = datagram.split_at(length.min(datagram.len()));
        on_message(sequence, heard(message));
        // Messages are aligned to four bytes (NLMSG_ALIGN).
        datagram = rest.get(length.next_multiple_of(4) - length..).unwrap_or_default();
    }
}

/// Length and sequence number of the message at the start of `bytes`, when a whole one is there.
fn frame(bytes: &[u8]) -> Option<(usize, u32)> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let sequence = u32::from_ne_bytes(*bytes.get(8..12)?.first_chunk()?);
    (length >= 16 && length <= bytes.len()).then_some((length, sequence))
}

fn heard(message: &[u8]) -> Heard {
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) {
        Ok(message) => match message.payload {
            NetlinkPayload::InnerMessage(inner) => Heard::Message(Box::new(inner), message.header.flags),
            NetlinkPayload::Error(error) => Heard::End(error.raw_code()),
            NetlinkPayload::Done(done) => Heard::End(done.code),
            _ => Heard::Nothing,
        },
        Err(error) => {
            tracing::debug!(%error, "netlink message not understood");
            Heard::Nothing
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(datagram: &[u8]) -> Vec<(u32, Option<i32>)> {
        let mut all = Vec::new();
        each_message(datagram, |sequence, heard| {
            all.push((sequence, if let Heard::End(code) = heard { Some(code) } else { None }));
        });
        all
    }

    fn acknowledgement(sequence: u32, code: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(36_u32.to_ne_bytes());
        bytes.extend(2_u16.to_ne_bytes());
        bytes.extend(0_u16.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(code.to_ne_bytes());
        bytes.extend([0; 16]);
        bytes
    }

    #[test]
    fn every_message_of_a_datagram_is_heard() {
        let mut datagram = acknowledgement(7, 0);
        datagram.extend(acknowledgement(8, -17));
        assert_eq!(collect(&datagram), [(7, Some(0)), (8, Some(-17))]);
    }

    #[test]
    fn a_datagram_cut_anywhere_is_read_up_to_the_cut() {
        let mut datagram = acknowledgement(7, 0);
        datagram.extend(acknowledgement(8, -17));
        for length in 0..datagram.len() {
            let heard = collect(&datagram[..length]);
            assert_eq!(heard.len(), length / 36, "at {length}");
        }
    }

    #[test]
    fn a_message_shorter_than_its_header_ends_the_datagram() {
        let mut datagram = acknowledgement(7, 0);
        datagram[0] = 3;
        assert!(collect(&datagram).is_empty());
    }
}
