//! The page in the repository: its marked part is written anew from a run.

use std::fs;
use std::path::Path;

use crate::chart;
use crate::failure::Failure;
use crate::figure::Findings;
use crate::table;

const BEGIN: &str = "<!-- sidebyside: begin -->\n";
const END: &str = "<!-- sidebyside: end -->\n";

/// Writes the figures between the marks of `README.md`, and `sidebyside.svg`.
pub(crate) fn write(directory: &Path, findings: &Findings) -> Result<(), Failure> {
    let (page, chart) = (directory.join("README.md"), directory.join("sidebyside.svg"));
    let failed = |path: &Path| Failure::system(path.display().to_string());
    let before = fs::read_to_string(&page).map_err(failed(&page))?;
    let after = between(&before, &table::markdown(findings))
        .ok_or_else(|| Failure::Wrong(format!("{}: the marks are not there", page.display())))?;
    fs::write(&page, after).map_err(failed(&page))?;
    fs::write(&chart, chart::svg(&findings.bars)).map_err(failed(&chart))
}

/// The page with this text between its marks; none where it has no marks.
fn between(page: &str, text: &str) -> Option<String> {
    let (head, rest) = page.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n{text}\n{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_written() {
        let page = format!("# One\n\n{BEGIN}\nold\n\n{END}\nlast\n");
        let written = between(&page, "| new |\n").unwrap();
        assert_eq!(written, format!("# One\n\n{BEGIN}\n| new |\n\n{END}\nlast\n"));
        assert_eq!(between(&written, "| new |\n").unwrap(), written, "and again");
        assert_eq!(between("no marks\n", "x"), None);
    }
}
