//! The table of keywords as a page to be read: `lvsd/KEEPALIVED.md`.

use std::fmt::Write as _;

use super::keyword::{Block, Standing, all};

const INTRODUCTION: &str = "\
# keepalived.conf

`lvsd run --keepalived FILE` takes keepalived's configuration file as it stands; `lvsd check FILE` says what is wrong
with one, and what in it has no effect. The keywords are those of keepalived 2.4.3's manual, older spellings included.
None is passed over in silence: what is not honoured is refused or warned of, with file, line and column.

* **honoured**: it does what keepalived's manual says.
* **no effect**: the file is taken; the keyword is warned of, with the reason given here.
* **refused**: the file is not taken; what to do instead is given here.

Comments (`#`, `!`), quotes and escapes, `include` in all its variants, `@id` and `@^id` lines, `$NAME=value` with
definitions of several lines, `~SEQ`, `~LST`, `${_PWD}`, `${_INSTANCE}`, `${_ENV NAME}`, `${_HASH}` and `${_BANG}` are
read as keepalived reads them. `${_RANDOM}` is refused: each reload would change something.
";

const IMPORT: &str = "
## As lvsd.toml

`lvsd import keepalived.conf -o lvsd.toml` writes the same as a file of lvsd's own, and reports to standard error what
was carried over and what has no effect (`--json` for programs). Includes, conditions and definitions are written out,
as this host reads them. Where a keyword is refused, nothing is written and the exit status is 2; with `--partial` the
rest is written, what was left out is told with its place, and the status is 3. The file is readable by its owner alone.
What is the default is left out; read again the file declares the same, to the last timer.

```toml
[[vrrp.instance]]                       # vrrp_instance
name = \"VI_1\"
interface = \"eth0\"
router-id = 51                          # virtual_router_id
state = \"master\"
priority = 150
advert-interval = 0.5                   # advert_int
version = 3
address = [\"192.0.2.10/24\", { address = \"192.0.2.11\", interface = \"eth1\", label = \"eth1:0\" }]
hmac = { active-key = 1, key = [{ id = 1, secret = \"hex:0011..\" }] }   # auth_hmac; password = \"..\": auth_pass
peer = [\"192.0.2.2\"]                  # unicast_peer
track = { script = [{ name = \"nginx\", weight = -20 }] }
notify = { master = [\"/usr/local/bin/tell\", \"master\"] }

[[vrrp.script]]                         # vrrp_script; besides: vrrp.file, vrrp.process, vrrp.link-delay
name = \"nginx\"
command = [\"/usr/bin/pgrep\", \"nginx\"]
interval = 2

[[vrrp.group]]                          # vrrp_sync_group
name = \"G1\"
members = [\"VI_1\"]

[[service]]                             # virtual_server, virtual_server_group
address = \"192.0.2.10:80\"
health = { name = \"web\", quorum = 2 }
check = [{ type = \"tcp\", delay-loop = 6 }]
server = [{ address = \"10.0.0.1\", method = \"nat\" }, { address = \"10.0.0.2\", method = \"nat\", weight = 2 }]

[[service]]                             # of the same group: its servers come and go with those of `web`
address = \"192.0.2.11:80\"
follows = \"web\"
```
";

const RELOAD: &str = "
## Reload

`lvsd reload` and SIGHUP read the files again. Before anything is changed, all of it is looked at: the files, what cannot
change while the director runs, every server (those that only a check would add later too), the rules for marks,
timeouts and sysctls, and whether the XDP program has room. What is refused after that is taken back. Then only what
differs is changed, and packets meet all of it at once: the workers go on with what was there until the new is whole.

2,000 virtual servers with 37,000 real servers, a `TCP_CHECK` each (4.5 MB of text), release build, one core to itself:
`lvsd check` takes 0.22 s; from `lvsd run` to serving 0.73 s; a reload with nothing changed 0.33 to 0.49 s, with one
weight changed 0.66 to 0.69 s, as `lvsd reload --json` tells in `milliseconds`
(`chrt -r 5 lvsd run --keepalived large.conf -i eth0`, then `lvsd reload --json`).
";

/// The page.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned() + IMPORT + RELOAD;
    for block in Block::ALL {
        let title = if block == Block::Top {
            "Outside of all blocks".to_owned()
        } else {
            format!("`{}`", block.name())
        };
        let _ = write!(page, "\n## {title}\n\n| keyword | arguments | |\n|---|---|---|\n");
        for keyword in all().filter(|keyword| keyword.block == block) {
            let standing = match (keyword.standing, keyword.outcome()) {
                (Standing::Means(name), _) => format!("the same as `{name}`"),
                (_, Standing::Noted(why)) => format!("no effect: {why}"),
                (_, Standing::Refused(what)) => format!("refused: {what}"),
                (_, Standing::Honoured | Standing::Opens(_) | Standing::Means(_)) => "honoured".to_owned(),
            };
            let arguments = if keyword.arguments.is_empty() {
                String::new()
            } else {
                format!("`{}`", keyword.arguments.replace('|', "\\|"))
            };
            let _ = writeln!(page, "| `{}` | {arguments} | {} |", keyword.name, standing.replace('|', "\\|"));
        }
    }
    page
}
