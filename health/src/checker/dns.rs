//! `DNS_CHECK`: a name server answers a question without an error (RFC 1035).

use std::hash::{BuildHasher, RandomState};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::{Failure, Target, socket};
use crate::declared::DnsType;

/// The longest answer that is read: without EDNS there are none over 512 bytes.
const LONGEST: usize = 4096;

pub(super) async fn check(target: &Target<'_>, kind: DnsType, name: &str) -> Result<(), Failure> {
    let mut name = Name::from_ascii(name).map_err(|error| Failure::Unusable(format!("{name}: {error}")))?;
    name.set_fqdn(true);
    // Seeded anew for each: nobody guesses the number of a question.
    let id = u16::try_from(RandomState::new().hash_one(0) & 0xffff).unwrap_or_default();
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    let query = Query::query(name, record_type(kind));
    question.add_query(query.clone());
    let bytes = question.to_vec().map_err(|error| Failure::Unusable(error.to_string()))?;

    let socket = target.datagrams().await?;
    socket.send(&bytes).await.map_err(|error| socket::failure(&error))?;
    let mut answer = [0; LONGEST];
    loop {
        let length = socket.recv(&mut answer).await.map_err(|error| socket::failure(&error))?;
        let bytes = answer.get(..length).unwrap_or_default();
        // An answer to somebody else's question is none; ours may still come.
        if bytes.get(..2) != Some(&id.to_be_bytes()) {
            continue;
        }
        return judge(bytes, &query);
    }
}

fn judge(bytes: &[u8], query: &Query) -> Result<(), Failure> {
    let answer = Message::from_vec(bytes).map_err(|error| Failure::Malformed(error.to_string()))?;
    if answer.metadata.message_type != MessageType::Response {
        return Err(Failure::Malformed("a question for an answer".to_owned()));
    }
    if answer.metadata.response_code != ResponseCode::NoError {
        return Err(Failure::Answer(answer.metadata.response_code.to_string()));
    }
    if answer.queries.first().is_some_and(|asked| asked != query) {
        return Err(Failure::Malformed("an answer to another question".to_owned()));
    }
    Ok(())
}

const fn record_type(kind: DnsType) -> RecordType {
    match kind {
        DnsType::A => RecordType::A,
        DnsType::Ns => RecordType::NS,
        DnsType::Cname => RecordType::CNAME,
        DnsType::Soa => RecordType::SOA,
        DnsType::Mx => RecordType::MX,
        DnsType::Txt => RecordType::TXT,
        DnsType::Aaaa => RecordType::AAAA,
    }
}
