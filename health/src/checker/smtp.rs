//! `SMTP_CHECK`: a mail server greets, takes a HELO, and lets us go (RFC 5321 sections 3.1, 3.2 and 3.8).

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};

use super::socket::Connection;
use super::{Failure, Target, socket};

/// How much a server may say in all.
const LONGEST: u64 = 16 << 10;

type Conversation = BufReader<Take<Connection>>;

pub(super) async fn check(target: &Target<'_>, helo_name: &str) -> Result<(), Failure> {
    let stream = target.connect().await?;
    let mut conversation = BufReader::new(stream.take(LONGEST));
    expect(&mut conversation, 220).await?;
    say(&mut conversation, &format!("HELO {helo_name}\r\n")).await?;
    expect(&mut conversation, 250).await?;
    say(&mut conversation, "QUIT\r\n").await?;
    // It has shown that it is well: how it says goodbye is its own affair.
    let _ = expect(&mut conversation, 221).await;
    Ok(())
}

async fn say(conversation: &mut Conversation, line: &str) -> Result<(), Failure> {
    let stream = conversation.get_mut().get_mut();
    stream.write_all(line.as_bytes()).await.map_err(|error| socket::failure(&error))
}

/// Reads a reply, of however many lines; its code must be this one.
async fn expect(conversation: &mut Conversation, wanted: u16) -> Result<(), Failure> {
    loop {
        let mut line = Vec::new();
        conversation.read_until(b'\n', &mut line).await.map_err(|error| socket::failure(&error))?;
        if line.last() != Some(&b'\n') {
            let is_full = conversation.get_ref().limit() == 0;
            return Err(if is_full { Failure::TooLong(LONGEST) } else { Failure::Closed });
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let (Some(code), rest) = (text.get(..3).and_then(|code| code.parse::<u16>().ok()), text.get(3..4))
        else {
            return Err(Failure::Malformed("a reply without a code".to_owned()));
        };
        match rest {
            Some("-") => {}
            Some(" ") | None if code == wanted => return Ok(()),
            Some(" ") | None => return Err(Failure::Answer(text.chars().take(80).collect())),
            Some(_) => return Err(Failure::Malformed("a reply without a code".to_owned())),
        }
    }
}
