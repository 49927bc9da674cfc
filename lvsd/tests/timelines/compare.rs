//! Holds a replayed timeline against what the kernel did.
//!
//! Everything is compared byte for byte but for what the kernel draws at random or what its clock decides:
//!
//! * the identification, and with it the header checksum, of an outer IPv4 header and of an ICMP error that the
//!   director itself makes,
//! * GUE's source port, and whether there is a checksum but not which,
//! * the flow label of an outer IPv6 header and of an ICMPv6 error about the very frame that came in: the kernel
//!   derives it with a key that it draws at each boot,
//! * the order of connection rows and an expiry by three seconds,
//! * the rates of `--rate` and of `/proc/net/ip_vs_stats`, and the order of the services in `/proc/net/ip_vs`.
//!
//! A frame that the kernel's own TCP answers with a reset, or an echo that it answers, must be handed to the host;
//! where the kernel emits nothing, dropping a packet and handing it to the host are both right.

use serde_json::Value;

/// The director's own addresses, from which it speaks for itself.
const OWN_V4: [[u8; 4]; 3] = [[10, 2, 0, 1], [10, 1, 0, 2], [10, 9, 9, 9]];
const OWN_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const GUE_PORT: [u8; 2] = 6080u16.to_be_bytes();
const L3: usize = 14;
const V6_L4: usize = 54;

/// What differs, a sentence each.
pub(crate) fn differences(recorded: &str, answered: &str) -> Vec<String> {
    let (recorded, answered) = (lines(recorded), lines(answered));
    let (theirs, ours) = (steps(&recorded), steps(&answered));
    let mut found = Vec::new();
    if theirs.len() != ours.len() {
        found.push(format!("{} steps in the recording, {} in the answer", theirs.len(), ours.len()));
    }
    for (their, our) in theirs.into_iter().zip(ours) {
        let difference = match text(their, "op") {
            "in" => frames(their, &recorded, &answered),
            "ipvsadm" => command(their, our),
            _ => listing(their, our),
        };
        found.extend(difference);
    }
    found
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn steps(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| matches!(text(line, "op"), "in" | "ipvsadm" | "list")).collect()
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_default()
}

fn command(their: &Value, our: &Value) -> Option<String> {
    let same = their["rc"] == our["rc"] && their["text"] == our["text"] && their["args"] == our["args"];
    let told = |line: &Value| format!("{} {:?}", line["rc"], text(line, "text"));
    (!same).then(|| format!("ipvsadm {}: kernel {}, ours {}", text(their, "args"), told(their), told(our)))
}

fn listing(their: &Value, our: &Value) -> Option<String> {
    let args = text(their, "args");
    let same = their["args"] == our["args"] && rows_agree(args, text(their, "text"), text(our, "text"));
    (!same).then(|| format!("list {args}: kernel\n{}ours\n{}", text(their, "text"), text(our, "text")))
}

fn rows_agree(args: &str, their: &str, our: &str) -> bool {
    if let Some(name) = args.strip_prefix("proc ") {
        return file_agrees(name, their, our);
    }
    if args.contains("--rate") {
        return true;
    }
    let trimmed =
        |text: &str| text.trim_end_matches('\n').split('\n').map(|row| row.trim_end().into()).collect();
    let (their, our): (Vec<String>, Vec<String>) = (trimmed(their), trimmed(our));
    let lists_connections =
        args.split_whitespace().any(|word| word.starts_with("-L") && word[2..].contains('c'));
    if !lists_connections {
        return their == our;
    }
    let (mut their, mut our): (Vec<Row>, Vec<Row>) =
        (their.iter().map(|row| Row::of(row)).collect(), our.iter().map(|row| Row::of(row)).collect());
    their.sort();
    our.sort();
    their.len() == our.len() && their.iter().zip(&our).all(|(their, our)| their.agrees(our))
}

/// Blanks at a row's end count here.
fn file_agrees(name: &str, their: &str, our: &str) -> bool {
    let rows = |text: &str| -> Vec<String> { text.split('\n').map(Into::into).collect() };
    let (mut their, mut our) = (rows(their), rows(our));
    match name {
        "ip_vs" => {
            // A service with its servers is one thing; the first is the title.
            let services = |rows: &[String]| {
                let mut services: Vec<Vec<String>> = Vec::new();
                for row in rows {
                    match services.last_mut() {
                        Some(service) if row.starts_with("  ->") => service.push(row.clone()),
                        _ => services.push(vec![row.clone()]),
                    }
                }
                services.sort();
                services
            };
            services(&their) == services(&our)
        }
        "ip_vs_conn" | "ip_vs_conn_sync" => {
            // The width of a row is part of it.
            let row = |row: &String| {
                let expires = row.rsplit(' ').next().and_then(|word| word.parse::<u32>().ok());
                let width = row.len().to_string();
                let mut words: Vec<String> = row.split_whitespace().map(Into::into).collect();
                if expires.is_some() {
                    words.pop();
                }
                words.push(width);
                Row { words, seconds: expires.unwrap_or(0) }
            };
            let (mut their, mut our): (Vec<Row>, Vec<Row>) =
                (their.iter().map(row).collect(), our.iter().map(row).collect());
            their.sort();
            our.sort();
            their.len() == our.len() && their.iter().zip(&our).all(|(their, our)| their.agrees(our))
        }
        "ip_vs_stats" => {
            for rows in [&mut their, &mut our] {
                rows.retain(|row| !row.is_empty());
                rows.truncate(4);
            }
            their == our
        }
        _ => their == our,
    }
}

/// A connection's row without its expiry, and its expiry in seconds.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    words: Vec<String>,
    seconds: u32,
}

impl Row {
    fn of(row: &str) -> Self {
        let mut words: Vec<String> = row.split_whitespace().map(Into::into).collect();
        let time = words.get(1).and_then(|word| word.split_once(':'));
        let seconds = time.and_then(|(m, s)| Some(m.parse::<u32>().ok()? * 60 + s.parse::<u32>().ok()?));
        if seconds.is_some() {
            words.remove(1);
        }
        Self { words, seconds: seconds.unwrap_or(0) }
    }

    fn agrees(&self, other: &Self) -> bool {
        self.words == other.words && self.seconds.abs_diff(other.seconds) <= 3
    }
}

fn frames(arrived: &Value, recorded: &[Value], answered: &[Value]) -> Option<String> {
    let n = &arrived["n"];
    let of_this = |lines: &[Value]| -> Vec<Value> {
        let is_answer = |line: &&Value| matches!(text(line, "op"), "out" | "host") && line["n"] == *n;
        lines.iter().filter(is_answer).cloned().collect()
    };
    let (theirs, ours) = (of_this(recorded), of_this(answered));
    if theirs.iter().any(|out| is_by_host(arrived, out)) {
        let handed = ours.iter().any(|out| text(out, "op") == "host");
        return (!handed).then(|| format!("in {n}: the host answers this one; ours did {ours:?}"));
    }
    let normal = |lines: &[Value]| -> Vec<(String, String)> {
        let sent = lines.iter().filter(|line| text(line, "op") == "out");
        sent.map(|line| (text(line, "if").into(), encode(&normalized(arrived, line)))).collect()
    };
    let (want, got) = (normal(&theirs), normal(&ours));
    (want != got).then(|| format!("in {n}: kernel {want:?}\n       ours {got:?}"))
}

/// The kernel's own stack answered: a reset or an echo reply that leaves where the packet came in.
fn is_by_host(arrived: &Value, out: &Value) -> bool {
    if text(arrived, "if") != "dc" || text(out, "if") != "dc" {
        return false;
    }
    let frame = decode(text(out, "frame"));
    let (proto, l4) = match frame[12..14] {
        [0x08, 0x00] => (frame[23], &frame[L3 + usize::from(frame[L3] & 15) * 4..]),
        [0x86, 0xdd] => (frame[20], &frame[V6_L4..]),
        _ => return false,
    };
    match proto {
        6 => l4[13] & 4 != 0,
        1 => l4[0] == 0,
        58 => l4[0] == 129,
        _ => false,
    }
}

/// The frame with what the kernel draws at random taken out.
fn normalized(arrived: &Value, line: &Value) -> Vec<u8> {
    let mut frame = decode(text(line, "frame"));
    match frame[12..14] {
        [0x08, 0x00] => normalize_v4(&mut frame),
        [0x86, 0xdd] => normalize_v6(&mut frame, &decode(text(arrived, "frame"))),
        _ => {}
    }
    frame
}

fn normalize_v4(frame: &mut [u8]) {
    let (proto, l4) = (frame[L3 + 9], L3 + usize::from(frame[L3] & 15) * 4);
    let is_own = OWN_V4.iter().any(|own| frame[L3 + 12..L3 + 16] == *own);
    let is_gue = proto == 17 && frame[l4 + 2..l4 + 4] == GUE_PORT;
    let is_error = proto == 1 && matches!(frame[l4], 3 | 11);
    if !is_own || !(matches!(proto, 4 | 41 | 47) || is_gue || is_error) {
        return;
    }
    frame[L3 + 4..L3 + 6].fill(0);
    frame[L3 + 10..L3 + 12].fill(0);
    if proto == 17 {
        normalize_gue(frame, l4);
    }
}

fn normalize_v6(frame: &mut [u8], arrived: &[u8]) {
    let is_outer = matches!(frame[20], 4 | 41 | 47 | 17) && frame[22..38] == OWN_V6;
    let is_answer = frame[20] == 58
        && frame[V6_L4] < 128
        && frame
            .get(V6_L4 + 8..)
            .is_some_and(|quoted| !quoted.is_empty() && arrived[L3..].starts_with(quoted));
    if is_outer || is_answer {
        frame[15] &= 0xf0;
        frame[16..18].fill(0);
    }
    if is_outer && frame[20] == 17 {
        normalize_gue(frame, V6_L4);
    }
}

fn normalize_gue(frame: &mut [u8], l4: usize) {
    frame[l4..l4 + 2].fill(0);
    let has_checksum = frame[l4 + 6..l4 + 8] != [0, 0];
    frame[l4 + 6..l4 + 8].fill(if has_checksum { 0xff } else { 0 });
}

fn decode(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn encode(frame: &[u8]) -> String {
    use std::fmt::Write;
    frame.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[test]
fn a_changed_octet_is_a_difference() {
    let frame = "02000000020b0200000002010800450000280000000040060000010203040a02000b00500050000000000000000050020000ff00";
    let recorded = format!(
        "{}\n{}\n{}\n{}\n",
        format_args!(r#"{{"op":"in","n":0,"if":"dc","frame":"{frame}"}}"#),
        format_args!(r#"{{"op":"out","n":0,"if":"dr","frame":"{frame}"}}"#),
        r#"{"op":"list","args":"-Lcn","text":"title\nTCP 14:56  ESTABLISHED a b c\n"}"#,
        r#"{"op":"ipvsadm","args":"-C","rc":0,"text":""}"#,
    );
    assert_eq!(differences(&recorded, &recorded), Vec::<String>::new());
    assert_eq!(differences(&recorded, &recorded.replace("14:56", "14:53")), Vec::<String>::new());
    for (old, new) in [
        ("ff00\"}\n{\"op\":\"list", "ff01\"}\n{\"op\":\"list"),
        ("14:56", "14:52"),
        ("ESTABLISHED", "NONE"),
        (r#""rc":0"#, r#""rc":1"#),
    ] {
        assert_eq!(differences(&recorded, &recorded.replace(old, new)).len(), 1, "{old}");
    }
    assert_eq!(differences(&recorded, &recorded.replace(r#""if":"dr""#, r#""if":"dc""#)).len(), 1);
}

#[test]
fn a_blank_too_few_is_a_difference_in_a_file() {
    let title = "IP Virtual Server\nProt\n  -> RemoteAddress:Port\n";
    let (a, b) = (
        "TCP  0A090909:0050 rr  \n  -> 0A02000B:1F90      Masq    3      1          0         \n",
        "FWM  00000001 rr \n",
    );
    let file = format!("{title}{a}{b}");
    assert!(file_agrees("ip_vs", &file, &format!("{title}{b}{a}")));
    assert!(!file_agrees("ip_vs", &file, &file.replace("rr  ", "rr ")));
    assert!(!file_agrees("ip_vs", &file, &file.replace("0         \n", "0\n")));
    assert!(!file_agrees("ip_vs", &file, &format!("{title}{a}")));
    let conn = "Pro Expires\nTCP C6336407 ESTABLISHED     896\n";
    assert!(file_agrees("ip_vs_conn", conn, &conn.replace("896", "893")));
    assert!(!file_agrees("ip_vs_conn", conn, &conn.replace("896", "892")));
    assert!(!file_agrees("ip_vs_conn", conn, &conn.replace("    896", "896")));
    let stats = "  Total\n  Conns\n      6\n\n Conns/s\n      1\n";
    assert!(file_agrees("ip_vs_stats", stats, &stats.replace("      1", "      2")));
    assert!(!file_agrees("ip_vs_stats", stats, &stats.replace("      6", "      7")));
}
