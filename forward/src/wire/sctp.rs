//! The SCTP common header (RFC 9260, 3.1) and its checksum, a CRC over the Castagnoli polynomial.
//!
//! ```text
//!  0 source port | 2 destination port | 4 verification tag | 8 checksum | 12 chunks
//! ```

/// Octets of the common header.
pub const HEADER: usize = 12;

pub(crate) const CHECKSUM: usize = 8;

/// Octets of a chunk's header (RFC 9260, 3.2): 0 type | 1 flags | 2 length, of the header and without the padding.
const CHUNK_HEADER: usize = 4;

/// The type of the second chunk of a packet, if its header is there.
pub(crate) fn second_chunk(packet: &[u8]) -> Option<u8> {
    let chunks = packet.get(HEADER..)?;
    let first = usize::from(u16::from_be_bytes([*chunks.get(2)?, *chunks.get(3)?]));
    let second = first.next_multiple_of(CHUNK_HEADER);
    let header = chunks.get(second..second + CHUNK_HEADER)?;
    (first >= CHUNK_HEADER).then_some(header[0])
}

/// The Castagnoli polynomial, bits reversed (RFC 9260, appendix A).
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `TABLES[k][b]` is byte `b` followed by `k` zero bytes, so that eight bytes are taken at a time.
const TABLES: [[u32; 256]; 8] = tables();

#[allow(clippy::cast_possible_truncation, reason = "the index counts to 255")]
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ POLYNOMIAL };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut behind = 1;
    while behind < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[behind - 1][byte];
            tables[behind][byte] = (crc >> 8) ^ tables[0][(crc & 0xff) as usize];
            byte += 1;
        }
        behind += 1;
    }
    tables
}

const fn entry(behind: usize, byte: u8) -> u32 {
    TABLES[behind][byte as usize]
}

/// The checksum of a packet whose checksum field counts as zero, as it is written on the wire (little-endian).
/// `packet` begins with the common header; one that is too short to have a checksum has none.
pub(crate) fn checksum(packet: &[u8]) -> Option<[u8; 4]> {
    let (before, rest) = packet.split_at_checked(CHECKSUM)?;
    let (_, chunks) = rest.split_at_checked(4)?;
    let crc = update(update(update(!0, before), &[0; 4]), chunks);
    Some((!crc).to_le_bytes())
}

fn update(mut crc: u32, bytes: &[u8]) -> u32 {
    let (eights, rest) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in eights {
        let [i, j, k, l] = (crc ^ u32::from_le_bytes([a, b, c, d])).to_le_bytes();
        crc = entry(7, i)
            ^ entry(6, j)
            ^ entry(5, k)
            ^ entry(4, l)
            ^ entry(3, e)
            ^ entry(2, f)
            ^ entry(1, g)
            ^ entry(0, h);
    }
    for &byte in rest {
        let [low, ..] = crc.to_le_bytes();
        crc = (crc >> 8) ^ entry(0, low ^ byte);
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_of_the_check_string_is_the_published_one() {
        assert_eq!(!update(!0, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn thirty_two_zeroes_give_the_value_of_rfc_3720() {
        assert_eq!((!update(!0, &[0; 32])).to_le_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
    }

    #[test]
    fn the_second_chunk_stands_behind_the_firsts_padding() {
        let packet = |chunks: &[u8]| [&[0; HEADER], chunks].concat();
        assert_eq!(second_chunk(&packet(&[10, 0, 0, 5, 9, 0, 0, 0, 6, 0, 0, 4])), Some(6));
        assert_eq!(second_chunk(&packet(&[10, 0, 0, 5, 9, 0, 0, 0, 6, 0, 0])), None, "cut off");
        assert_eq!(second_chunk(&packet(&[10, 0, 0, 3, 6, 0, 0, 4])), None, "a length that cannot be");
        assert_eq!(second_chunk(&packet(&[10, 0, 0xff, 0xff])), None);
        assert_eq!(second_chunk(&packet(&[])), None);
    }
}
