//! The figures as a table: for the terminal, and for a page.

use std::fmt::Write as _;

use crate::figure::{Figure, Findings};
use crate::reason;

/// The table as plain text.
pub(crate) fn text(findings: &Findings) -> String {
    let cells = |figure: &Figure| {
        let mark = if figure.is_reached() { "" } else { " !" };
        [figure.what.clone(), figure.wanted(), format!("{}{mark}", figure.measured()), figure.detail.clone()]
    };
    let head = ["what", "wanted", "measured", ""].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(findings.figures.iter().map(cells)).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [what, wanted, measured, detail] in &rows {
        let [a, b, c] = widths;
        let line = format!("{what:a$}  {wanted:>b$}  {measured:>c$}  {detail}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for skipped in &findings.skipped {
        let _ = writeln!(text, "skipped: {skipped}");
    }
    text
}

/// The table as Markdown, with a reason for every value that is not as wanted.
pub(crate) fn markdown(findings: &Findings) -> String {
    let mut text = "| what | wanted | measured | |\n|---|---:|---:|---|\n".to_owned();
    for figure in &findings.figures {
        let measured = figure.measured();
        let measured = if figure.is_reached() { measured } else { format!("**{measured}**") };
        let _ = writeln!(text, "| {} | {} | {measured} | {} |", figure.what, figure.wanted(), figure.detail);
    }
    for skipped in &findings.skipped {
        let _ = writeln!(text, "\nNot measured: {skipped}.");
    }
    let short: Vec<&Figure> = findings.figures.iter().filter(|figure| !figure.is_reached()).collect();
    if !short.is_empty() {
        text.push_str("\nValues in bold are not as wanted:\n\n");
    }
    let mut told: Vec<&str> = Vec::new();
    for figure in short {
        let reason = reason::of(figure.id);
        if !told.contains(&reason) {
            told.push(reason);
            let _ = writeln!(text, "* {}: {reason}", figure.what);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Unit, Wanted};

    fn findings() -> Findings {
        let figure = |what: &str, measured: f64| {
            Figure::new("nat-1000", what, Wanted::AtLeast(2.0), Unit::Times).of(vec![measured]).because("why")
        };
        let figures = vec![figure("one", 2.5), figure("another one", 1.5)];
        Findings { figures, skipped: vec!["nothing".to_owned()], ..Findings::default() }
    }

    #[test]
    fn columns_stand_below_each_other() {
        let expected = "what          wanted  measured
\
                        one          ≥ 2.00x     2.50x  why
\
                        another one  ≥ 2.00x   1.50x !  why
\
                        skipped: nothing
";
        assert_eq!(text(&findings()), expected);
    }

    #[test]
    fn what_falls_short_is_in_bold_and_has_its_reason() {
        let page = markdown(&findings());
        assert!(page.contains("| one | ≥ 2.00x | 2.50x | why |\n"), "{page}");
        assert!(page.contains("| another one | ≥ 2.00x | **1.50x** | why |\n"), "{page}");
        assert!(page.contains(&format!("* another one: {}\n", reason::of("nat-1000"))), "{page}");
        assert!(!page.contains("* one"), "{page}");
        assert!(page.contains("Not measured: nothing."), "{page}");
    }
}
