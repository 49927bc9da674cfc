//! The rates as a chart: a group of bars for each race, drawn without a library.

use std::fmt::Write as _;

use crate::figure::Bar;

const WIDTH: u32 = 820;
const LEFT: u32 = 150;
const RIGHT: u32 = 90;
const BAR: u32 = 18;
const GAP: u32 = 6;
const HEAD: u32 = 30;

/// The chart of packet rates.
pub(crate) fn svg(bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.rate).fold(1.0, f64::max);
    let mut body = String::new();
    let mut y = 10;
    let mut group = "";
    for bar in bars {
        if bar.group != group {
            group = &bar.group;
            y += HEAD;
            let _ =
                writeln!(body, "<text x=\"{LEFT}\" y=\"{}\" class=\"group\">{}</text>", y - 8, escape(group));
        }
        let length = f64::from(WIDTH - LEFT - RIGHT) * bar.rate / most;
        let class = if bar.name.starts_with("lvsd") { "ours" } else { "theirs" };
        let (middle, name) = (y + BAR - 5, escape(&bar.name));
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{middle}\" class=\"name\">{name}</text>\n\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" class=\"{class}\"/>\n\
             <text x=\"{:.1}\" y=\"{middle}\">{:.2}</text>",
            LEFT - 8,
            f64::from(LEFT) + length + 6.0,
            bar.rate / 1e6
        );
        y += BAR + GAP;
    }
    let height = y + 30;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<style>\n.group {{ font-weight: bold }}\n.name {{ text-anchor: end }}\n\
         .ours {{ fill: #2a7f62 }}\n.theirs {{ fill: #9aa5b1 }}\n</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n{body}\
         <text x=\"{LEFT}\" y=\"{}\">million packets a second, frames of 64 octets, one processor</text>\n</svg>\n",
        y + 16
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(group: &str, name: &str, rate: f64) -> Bar {
        Bar { group: group.to_owned(), name: name.to_owned(), rate }
    }

    #[test]
    fn bars_are_as_long_as_their_rates() {
        let chart = svg(&[bar("a", "nft <x>", 1e6), bar("a", "lvsd", 2e6), bar("b", "lvsd", 5e5)]);
        let full = WIDTH - LEFT - RIGHT;
        for length in [full / 2, full, full / 4] {
            assert!(chart.contains(&format!("width=\"{length}.0\"")), "{length}: {chart}");
        }
        assert_eq!(chart.matches("class=\"ours\"").count(), 2);
        assert_eq!(chart.matches("class=\"group\"").count(), 2);
        assert!(chart.contains("nft &lt;x&gt;"));
        assert!(chart.ends_with("</svg>\n"));
    }

    #[test]
    fn every_element_is_closed() {
        let chart = svg(&[bar("a", "b", 1.0)]);
        for element in ["text", "style", "svg"] {
            let open = chart.matches(&format!("<{element}")).count();
            assert_eq!(open, chart.matches(&format!("</{element}>")).count(), "{element}");
        }
        assert!(svg(&[]).contains("</svg>"), "nothing to draw is drawn, too");
    }
}
