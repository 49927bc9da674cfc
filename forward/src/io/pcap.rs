//! Packets from a capture: what a director would have done with them, written to other captures.

use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};

use super::{Burst, PacketIo};
use crate::packet::Packet;
use crate::verdict::{DropReason, Drops, PortId, Verdict};

/// Room before and behind each frame.
const ROOM: usize = 128;
/// The first octets of a pcapng file.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

enum Source<R: Read> {
    Pcap(PcapReader<R>),
    PcapNg(PcapNgReader<R>),
}

/// An interface that receives what a pcap or pcapng file holds. What leaves through port N is written to the Nth
/// of its outputs, as pcap, at the time of the packet that caused it.
pub struct PcapDevice<R: Read, W: Write> {
    source: Source<R>,
    outputs: Vec<PcapWriter<W>>,
    host: Option<PcapWriter<W>>,
    ingress: PortId,
    buffer: Vec<u8>,
    now: Duration,
    is_at_end: bool,
    injected: u64,
    drops: Arc<Drops>,
}

impl<R: Read, W: Write> fmt::Debug for PcapDevice<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PcapDevice")
            .field("ingress", &self.ingress)
            .field("outputs", &self.outputs.len())
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl<R: BufRead, W: Write> PcapDevice<R, W> {
    /// Opens a capture of Ethernet frames, all of which arrive at `ingress`. `host`, where given, takes what is
    /// handed to the host. `drops` counts what the device itself has to drop.
    ///
    /// # Errors
    /// `InvalidData` where it is no capture, or one of another link layer; the outputs' own.
    pub fn new(
        mut capture: R,
        ingress: PortId,
        outputs: impl IntoIterator<Item = W>,
        host: Option<W>,
        drops: Arc<Drops>,
    ) -> io::Result<Self> {
        let source = if capture.fill_buf()?.starts_with(&PCAPNG) {
            Source::PcapNg(PcapNgReader::new(capture).map_err(into_io)?)
        } else {
            let reader = PcapReader::new(capture).map_err(into_io)?;
            if reader.header().datalink != DataLink::ETHERNET {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "not a capture of Ethernet frames"));
            }
            Source::Pcap(reader)
        };
        let outputs = outputs.into_iter().map(PcapWriter::new).collect::<Result<_, _>>().map_err(into_io)?;
        let host = host.map(PcapWriter::new).transpose().map_err(into_io)?;
        Ok(Self {
            source,
            outputs,
            host,
            ingress,
            buffer: Vec::new(),
            now: Duration::ZERO,
            is_at_end: false,
            injected: 0,
            drops,
        })
    }
}

impl<R: Read, W: Write> PcapDevice<R, W> {
    /// True once every packet of the capture has been offered.
    pub fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// When the last packet was captured.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Reads the next frame into the buffer and says how long it is.
    fn next(&mut self) -> io::Result<Option<usize>> {
        loop {
            let (at, frame) = match &mut self.source {
                Source::Pcap(reader) => match reader.next_packet() {
                    Some(packet) => {
                        let packet = packet.map_err(into_io)?;
                        (packet.timestamp, packet.data)
                    }
                    None => return Ok(None),
                },
                Source::PcapNg(reader) => match reader.next_block() {
                    Some(block) => match block.map_err(into_io)? {
                        // The library takes the file's microseconds for nanoseconds.
                        Block::EnhancedPacket(packet) => (packet.timestamp.saturating_mul(1000), packet.data),
                        Block::SimplePacket(packet) => (self.now, packet.data),
                        Block::SectionHeader(_)
                        | Block::InterfaceDescription(_)
                        | Block::Packet(_)
                        | Block::NameResolution(_)
                        | Block::InterfaceStatistics(_)
                        | Block::SystemdJournalExport(_)
                        | Block::Unknown(_) => continue,
                    },
                    None => return Ok(None),
                },
            };
            self.now = at;
            self.buffer.clear();
            self.buffer.resize(ROOM, 0);
            self.buffer.extend_from_slice(&frame);
            let len = frame.len();
            self.buffer.resize(2 * ROOM + len, 0);
            return Ok(Some(len));
        }
    }

    fn count_drop(&self, reason: DropReason, burst: &mut Burst) {
        burst.dropped += 1;
        self.drops.count(reason);
    }
}

fn write<W: Write>(output: &mut PcapWriter<W>, at: Duration, frame: &[u8]) -> io::Result<()> {
    let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    output.write_packet(&PcapPacket::new(at, len, frame)).map_err(into_io)?;
    Ok(())
}

fn into_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other @ (PcapError::IncompleteBuffer
        | PcapError::InvalidField(_)
        | PcapError::Utf8Error(_)
        | PcapError::FromUtf8Error(_)
        | PcapError::InvalidInterfaceId(_)) => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

impl<R: Read, W: Write> PacketIo for PcapDevice<R, W> {
    fn poll<F>(&mut self, budget: usize, mut on_packet: F) -> io::Result<Burst>
    where
        F: FnMut(PortId, &mut Packet<'_>) -> Verdict,
    {
        let mut burst = Burst { originated: std::mem::take(&mut self.injected), ..Burst::default() };
        for _ in 0..budget {
            let Some(len) = self.next()? else {
                self.is_at_end = true;
                break;
            };
            burst.received += 1;
            let mut buffer = std::mem::take(&mut self.buffer);
            let mut packet = Packet::new(&mut buffer, ROOM, len);
            let verdict = on_packet(self.ingress, &mut packet);
            let frame = packet.bytes();
            match verdict {
                Verdict::Send(out) => match self.outputs.get_mut(out.index()) {
                    Some(output) => {
                        write(output, self.now, frame)?;
                        burst.sent += 1;
                    }
                    None => self.count_drop(DropReason::NoPort, &mut burst),
                },
                Verdict::Answer(out, _) => {
                    burst.dropped += 1;
                    match self.outputs.get_mut(out.index()) {
                        Some(output) => {
                            write(output, self.now, frame)?;
                            burst.originated += 1;
                        }
                        None => self.drops.count(DropReason::NoPort),
                    }
                }
                Verdict::ToHost => {
                    if let Some(host) = &mut self.host {
                        write(host, self.now, frame)?;
                    }
                    burst.to_host += 1;
                }
                Verdict::Drop(_) => burst.dropped += 1,
                Verdict::Hold => burst.held += 1,
            }
            self.buffer = buffer;
        }
        Ok(burst)
    }

    /// # Errors
    /// `NotFound` for a port that is not there, and the output's own.
    fn inject(&mut self, out: PortId, frame: &[u8]) -> io::Result<()> {
        let output = self.outputs.get_mut(out.index()).ok_or(io::ErrorKind::NotFound)?;
        write(output, self.now, frame)?;
        self.injected += 1;
        Ok(())
    }

    fn inject_to_host(&mut self, frame: &[u8]) -> io::Result<()> {
        self.host.as_mut().map_or(Ok(()), |host| write(host, self.now, frame))
    }

    /// Returns at once: a file does not wait.
    fn wait(&mut self, _timeout: Duration) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;

    use super::*;

    const AT: Duration = Duration::from_micros(1_700_000_000_123_456);

    fn pcap() -> Vec<u8> {
        let mut writer = PcapWriter::new(Vec::new()).unwrap();
        for number in 0..5 {
            write(&mut writer, AT, &[number; 40]).unwrap();
        }
        writer.into_writer()
    }

    fn pcapng() -> Vec<u8> {
        let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
        writer.write_pcapng_block(InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0)).unwrap();
        for number in 0..5 {
            let block = EnhancedPacketBlock {
                interface_id: 0,
                timestamp: AT / 1000,
                original_len: 40,
                data: vec![number; 40].into(),
                options: vec![],
            };
            writer.write_pcapng_block(block).unwrap();
        }
        writer.into_inner()
    }

    fn packets(capture: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        let mut reader = PcapReader::new(capture).unwrap();
        let mut packets = Vec::new();
        while let Some(packet) = reader.next_packet() {
            let packet = packet.unwrap();
            packets.push((packet.timestamp, packet.data.to_vec()));
        }
        packets
    }

    #[test]
    fn a_capture_of_either_format_is_forwarded_into_others() {
        for capture in [pcap(), pcapng()] {
            let (mut out, mut host) = (Vec::new(), Vec::new());
            let drops = Arc::new(Drops::default());
            let mut device =
                PcapDevice::new(&capture[..], PortId(0), [&mut out], Some(&mut host), Arc::clone(&drops))
                    .unwrap();
            let burst = device
                .poll(64, |_, packet| match packet.bytes()[0] {
                    0 => {
                        packet.insert(14, 40).unwrap();
                        Verdict::Send(PortId(0))
                    }
                    1 => Verdict::ToHost,
                    2 => Verdict::Send(PortId(1)),
                    3 => Verdict::Answer(PortId(0), DropReason::NoServer),
                    _ => Verdict::Hold,
                })
                .unwrap();
            let expected = Burst { received: 5, sent: 1, to_host: 1, dropped: 2, held: 1, originated: 1 };
            assert_eq!(burst, expected);
            assert!(device.is_at_end());
            assert_eq!(drops.total(), 1, "no second output");
            drop(device);
            assert_eq!(packets(&out), [(AT, vec![0; 80]), (AT, vec![3; 40])]);
            assert_eq!(packets(&host), [(AT, vec![1; 40])]);
        }
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        for capture in [&b"neither"[..], &PCAPNG, &[]] {
            let device = PcapDevice::new(capture, PortId(0), [Vec::new()], None, Arc::default());
            assert!(device.is_err());
        }
    }

    #[test]
    fn a_capture_that_breaks_off_is_an_error_and_no_end() {
        let whole = pcap();
        let cut = &whole[..whole.len() - 10];
        let mut device = PcapDevice::new(cut, PortId(0), [Vec::new()], None, Arc::default()).unwrap();
        assert_eq!(device.poll(4, |_, _| Verdict::Hold).unwrap().received, 4);
        assert!(device.poll(4, |_, _| Verdict::Hold).is_err());
    }
}
