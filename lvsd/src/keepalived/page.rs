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

/// The page.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
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
