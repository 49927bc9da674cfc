//! The table of keepalived's keywords: what each takes, and what becomes of it here.

mod checker;
mod global;
mod server;
mod vrrp;

use std::collections::HashMap;
use std::sync::LazyLock;

/// A keyword within a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyword {
    /// The block it stands in.
    pub block: Block,
    /// How it is written.
    pub name: &'static str,
    /// Its arguments: `[..]` may be absent, `..` repeats, `{..}` is a list in braces.
    pub arguments: &'static str,
    /// What becomes of it.
    pub standing: Standing,
}

/// What becomes of a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does what keepalived's manual says.
    Honoured,
    /// It opens a block with keywords of its own.
    Opens(Block),
    /// Another way to write this one.
    Means(&'static str),
    /// The file is taken; the keyword has no effect, and is warned of with this reason.
    Noted(&'static str),
    /// The file is refused, with this word on what to do.
    Refused(&'static str),
}

/// A block, by the keywords that may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Block {
    /// The file itself.
    Top,
    /// `global_defs`
    GlobalDefs,
    /// `SSL`
    Ssl,
    /// `track_group`
    TrackGroup,
    /// `track_file`
    TrackFile,
    /// `vrrp_track_process`
    TrackProcess,
    /// `bfd_instance`
    BfdInstance,
    /// `vrrp_script`
    VrrpScript,
    /// `vrrp_sync_group`
    SyncGroup,
    /// `garp_group`
    GarpGroup,
    /// `vrrp_instance`
    VrrpInstance,
    /// `authentication`
    Authentication,
    /// `auth_hmac`
    AuthHmac,
    /// `virtual_server`
    VirtualServer,
    /// `real_server`
    RealServer,
    /// `HTTP_GET`
    HttpGet,
    /// `SSL_GET`
    SslGet,
    /// `url`
    Url,
    /// `TCP_CHECK`
    TcpCheck,
    /// `SMTP_CHECK`
    SmtpCheck,
    /// `host` in `SMTP_CHECK`
    SmtpHost,
    /// `DNS_CHECK`
    DnsCheck,
    /// `MISC_CHECK`
    MiscCheck,
    /// `UDP_CHECK`
    UdpCheck,
    /// `PING_CHECK`
    PingCheck,
    /// `BFD_CHECK`
    BfdCheck,
    /// `FILE_CHECK`
    FileCheck,
    /// A list: no keywords, only items.
    Items,
    /// A block nothing is known of.
    Unknown,
}

impl Block {
    /// Every block that has keywords, in the order of the manual.
    pub const ALL: [Self; 27] = [
        Self::Top,
        Self::GlobalDefs,
        Self::TrackGroup,
        Self::TrackFile,
        Self::TrackProcess,
        Self::BfdInstance,
        Self::VrrpScript,
        Self::SyncGroup,
        Self::GarpGroup,
        Self::VrrpInstance,
        Self::Authentication,
        Self::AuthHmac,
        Self::VirtualServer,
        Self::RealServer,
        Self::HttpGet,
        Self::SslGet,
        Self::Url,
        Self::TcpCheck,
        Self::SmtpCheck,
        Self::SmtpHost,
        Self::DnsCheck,
        Self::MiscCheck,
        Self::UdpCheck,
        Self::PingCheck,
        Self::BfdCheck,
        Self::FileCheck,
        Self::Ssl,
    ];

    /// The keyword that opens it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Top => "the file",
            Self::GlobalDefs => "global_defs",
            Self::Ssl => "SSL",
            Self::TrackGroup => "track_group",
            Self::TrackFile => "track_file",
            Self::TrackProcess => "vrrp_track_process",
            Self::BfdInstance => "bfd_instance",
            Self::VrrpScript => "vrrp_script",
            Self::SyncGroup => "vrrp_sync_group",
            Self::GarpGroup => "garp_group",
            Self::VrrpInstance => "vrrp_instance",
            Self::Authentication => "authentication",
            Self::AuthHmac => "auth_hmac",
            Self::VirtualServer => "virtual_server",
            Self::RealServer => "real_server",
            Self::HttpGet => "HTTP_GET",
            Self::SslGet => "SSL_GET",
            Self::Url => "url",
            Self::TcpCheck => "TCP_CHECK",
            Self::SmtpCheck => "SMTP_CHECK",
            Self::SmtpHost => "host",
            Self::DnsCheck => "DNS_CHECK",
            Self::MiscCheck => "MISC_CHECK",
            Self::UdpCheck => "UDP_CHECK",
            Self::PingCheck => "PING_CHECK",
            Self::BfdCheck => "BFD_CHECK",
            Self::FileCheck => "FILE_CHECK",
            Self::Items | Self::Unknown => "this list",
        }
    }

    /// True when what stands in it is no keyword.
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::Items | Self::Unknown)
    }
}

impl Keyword {
    /// The name it is known by: its own, or the one it is another way to write.
    pub(super) const fn meaning(&self) -> &'static str {
        match self.standing {
            Standing::Means(name) => name,
            Standing::Honoured | Standing::Opens(_) | Standing::Noted(_) | Standing::Refused(_) => self.name,
        }
    }

    /// The keyword it is another way to write, or itself.
    pub(super) fn meant(&'static self) -> &'static Self {
        find(self.block, self.meaning()).unwrap_or(self)
    }

    /// What becomes of it and of all that stands in its block: a block of which nothing is honoured is not either.
    pub fn outcome(&'static self) -> Standing {
        let standing = self.meant().standing;
        let Standing::Opens(block) = standing else { return standing };
        USELESS.get(&block).copied().unwrap_or(standing)
    }

    /// True when a brace may stand behind it.
    pub(super) fn may_have_block(&self) -> bool {
        self.opens().is_some() || self.arguments.contains('{')
    }

    /// The block it opens.
    pub(super) fn opens(&self) -> Option<Block> {
        match self.standing {
            Standing::Opens(block) => Some(block),
            Standing::Means(name) => find(self.block, name).and_then(Self::opens),
            Standing::Honoured | Standing::Noted(_) | Standing::Refused(_) => None,
        }
    }

    /// Where it stands, in words.
    pub(super) fn place(&self) -> String {
        if self.block == Block::Top {
            return "outside of all blocks".to_owned();
        }
        format!("in a block `{}`", self.block.name())
    }

    /// The least and the greatest number of its arguments.
    pub(super) fn count(&self) -> (usize, usize) {
        let arguments = self.arguments.split('{').next().unwrap_or_default();
        let (mut least, mut most, mut depth) = (0, 0_usize, 0_usize);
        for word in arguments.split_whitespace() {
            depth += word.matches('[').count();
            if word.contains("..") {
                most = usize::MAX;
            } else {
                most = most.saturating_add(1);
                least += usize::from(depth == 0);
            }
            depth = depth.saturating_sub(word.matches(']').count());
        }
        (least, most)
    }
}

const fn row(block: Block, name: &'static str, arguments: &'static str, standing: Standing) -> Keyword {
    Keyword { block, name, arguments, standing }
}

/// Every keyword.
pub fn all() -> impl Iterator<Item = &'static Keyword> {
    [global::TABLE, vrrp::TABLE, server::TABLE, checker::TABLE].into_iter().flatten().chain(checker::common())
}

static INDEX: LazyLock<HashMap<(Block, &'static str), &'static Keyword>> =
    LazyLock::new(|| all().map(|keyword| ((keyword.block, keyword.name), keyword)).collect());

/// Blocks in which every keyword is refused, or none has an effect; with the reason of the first.
static USELESS: LazyLock<HashMap<Block, Standing>> = LazyLock::new(|| {
    let fate = |block: Block| {
        let inside: Vec<Standing> =
            all().filter(|keyword| keyword.block == block).map(|keyword| keyword.standing).collect();
        let is_refused = inside.iter().all(|standing| matches!(standing, Standing::Refused(_)));
        let is_noted = inside.iter().all(|standing| matches!(standing, Standing::Noted(_)));
        let first = inside.first().filter(|_| is_refused || is_noted)?;
        Some((block, *first))
    };
    Block::ALL.into_iter().filter_map(fate).collect()
});

/// What is known of a keyword.
pub(super) fn find(block: Block, name: &str) -> Option<&'static Keyword> {
    INDEX.get(&(block, name)).copied()
}

/// A keyword of another block.
pub(super) fn elsewhere(name: &str) -> Option<&'static Keyword> {
    Block::ALL.into_iter().find_map(|block| find(block, name))
}

/// The names of a block's keywords.
pub(super) fn names(block: Block) -> impl Iterator<Item = &'static str> {
    all().filter(move |keyword| keyword.block == block).map(|keyword| keyword.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_keyword_stands_twice_in_a_block() {
        assert_eq!(INDEX.len(), all().count());
    }

    #[test]
    fn another_way_to_write_one_means_one_that_is_there() {
        for keyword in all() {
            if let Standing::Means(name) = keyword.standing {
                let meant = find(keyword.block, name).unwrap();
                assert!(!matches!(meant.standing, Standing::Means(_)), "{name}");
            }
        }
    }

    #[test]
    fn arguments_are_counted() {
        let count = |arguments| row(Block::Top, "x", arguments, Standing::Honoured).count();
        assert_eq!(count(""), (0, 0));
        assert_eq!(count("A [B [C]]"), (1, 3));
        assert_eq!(count("A [B..]"), (1, usize::MAX));
        assert_eq!(count("A|B"), (1, 1));
        assert_eq!(count("{ITEM..}"), (0, 0));
    }
}
