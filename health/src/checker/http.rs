//! `HTTP_GET` and `SSL_GET`: a page is fetched, and looked at.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use regex::bytes::Regex;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Target, patterns::Patterns, socket, tls};
use crate::declared::{HttpCheck, HttpProtocol, HttpUrl, Pattern};
use crate::judge::Failure;

/// How much of a body is read.
const LONGEST: u64 = 1 << 20;
/// How much room a head has.
const HEAD: usize = 64 << 10;

/// What checks of pages share.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) tls: tls::Connector,
    pub(super) patterns: Patterns,
}

impl Fetcher {
    /// Fetches a page of a check and looks at it.
    pub(super) async fn check(
        &self,
        check: &HttpCheck,
        page: usize,
        target: &Target<'_>,
    ) -> Result<(), Failure> {
        let Some(url) = check.urls.get(page) else {
            return Err(Failure::Unusable("the check has no page".to_owned()));
        };
        let regex = url.pattern.as_ref().map(|pattern| self.patterns.compiled(pattern)).transpose()?;
        let request = request(check, url, target.endpoint.address)?;
        let look = Look { url, regex: regex.as_deref() };
        let stream = target.connect().await?;
        match &check.tls {
            None => converse(stream, request, look).await,
            Some(sni) => {
                let name = sni.name.as_deref().or(url.virtualhost.as_deref()).filter(|_| sni.enabled);
                let name = tls::server_name(name, target.endpoint.address.ip())?;
                converse(self.tls.open(stream, name).await?, request, look).await
            }
        }
    }
}

/// What is looked at in an answer.
#[derive(Clone, Copy)]
struct Look<'a> {
    url: &'a HttpUrl,
    regex: Option<&'a Regex>,
}

fn request(check: &HttpCheck, url: &HttpUrl, address: SocketAddr) -> Result<Request<Empty<Bytes>>, Failure> {
    let host = url.virtualhost.clone().unwrap_or_else(|| host(address, check.tls.is_some()));
    let builder = Request::get(&url.path).header(HOST, host).header(USER_AGENT, "lvsd");
    let builder = match check.protocol {
        HttpProtocol::Http10 => builder.version(Version::HTTP_10),
        HttpProtocol::Http10Close => builder.version(Version::HTTP_10).header(CONNECTION, "close"),
        HttpProtocol::Http11 => builder.version(Version::HTTP_11).header(CONNECTION, "close"),
    };
    builder.body(Empty::new()).map_err(|error| Failure::Unusable(format!("{}: {error}", url.path)))
}

/// The address as a `Host`, with its port where that is not the protocol's own.
fn host(address: SocketAddr, is_tls: bool) -> String {
    let own = if is_tls { 443 } else { 80 };
    match (address, address.port() == own) {
        (SocketAddr::V4(address), true) => address.ip().to_string(),
        (SocketAddr::V6(address), true) => format!("[{}]", address.ip()),
        (address, false) => address.to_string(),
    }
}

async fn converse<S>(stream: S, request: Request<Empty<Bytes>>, look: Look<'_>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(|error| failure(&error))?;
    let mut connection = pin!(connection);
    let mut exchange = pin!(exchange(sender, request, look));
    let mut is_open = true;
    loop {
        tokio::select! {
            biased;
            outcome = &mut exchange => return outcome,
            _ = &mut connection, if is_open => is_open = false,
        }
    }
}

async fn exchange(
    mut sender: SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    look: Look<'_>,
) -> Result<(), Failure> {
    let response = sender.send_request(request).await.map_err(|error| failure(&error))?;
    let status = response.status().as_u16();
    if !look.url.status.iter().any(|range| range.contains(&status)) {
        return Err(Failure::Status(status));
    }
    read(response, look).await
}

/// Reads the body as far as it matters, and looks at it.
async fn read(response: Response<Incoming>, look: Look<'_>) -> Result<(), Failure> {
    let mut digest = look.url.digest.map(|_| Md5::new());
    let mut kept = Vec::new();
    let mut length: u64 = 0;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame.map_err(|error| failure(&error))?.into_data() else { continue };
        length = length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if length > LONGEST {
            // The status was all that was asked for.
            return if digest.is_none() && look.regex.is_none() {
                Ok(())
            } else {
                Err(Failure::TooLong(LONGEST))
            };
        }
        if let Some(digest) = &mut digest {
            digest.update(&bytes);
        }
        if look.regex.is_some() {
            kept.extend_from_slice(&bytes);
        }
    }
    if let (Some(digest), Some(wanted)) = (digest, look.url.digest) {
        let found = digest.finalize();
        if found.as_slice() != wanted {
            return Err(Failure::Digest(hexadecimal(found.as_slice())));
        }
    }
    match (look.regex, &look.url.pattern) {
        (Some(regex), Some(pattern)) => search(regex, pattern, &kept),
        _ => Ok(()),
    }
}

/// Looks for the expression where it may begin.
fn search(regex: &Regex, pattern: &Pattern, body: &[u8]) -> Result<(), Failure> {
    let found = if pattern.min_offset <= body.len() { regex.find_at(body, pattern.min_offset) } else { None };
    let is_found = found.is_some_and(|found| pattern.max_offset.is_none_or(|most| found.start() <= most));
    if is_found == pattern.no_match { Err(Failure::Pattern(is_found)) } else { Ok(()) }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn failure(error: &hyper::Error) -> Failure {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return socket::failure(cause);
        }
        source = cause.source();
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Failure::Closed;
    }
    Failure::Malformed(error.to_string())
}
