//! What `lvsd health` prints: each virtual server with its servers, each server with its checks.

use std::fmt::Write as _;

use crate::message::{CheckListing, HealthListing, ServerHealth};

/// The columns of a line: server, state, weight, check, path, result, when.
type Row = [String; 7];

/// A table for each virtual server, all with the same columns.
pub(super) fn text(virtual_servers: &[HealthListing]) -> String {
    if virtual_servers.is_empty() {
        return "nothing is checked\n".to_owned();
    }
    let tables: Vec<Vec<Row>> =
        virtual_servers.iter().map(|pool| pool.servers.iter().flat_map(rows).collect()).collect();
    let mut widths = [0; 7];
    for row in tables.iter().flatten() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (pool, rows) in virtual_servers.iter().zip(tables) {
        let _ = writeln!(text, "{}", heading(pool));
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                let _ = write!(line, "  {cell:<width$}");
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

fn heading(pool: &HealthListing) -> String {
    let HealthListing { name, weight, quorum, hysteresis, .. } = pool;
    let state = if pool.has_quorum { "has its quorum" } else { "has lost its quorum" };
    let hysteresis = if *hysteresis == 0 { String::new() } else { format!(" +- {hysteresis}") };
    let sorry = if pool.is_sorry { "; the sorry server serves" } else { "" };
    let suspended = if pool.is_suspended { "; not checked, its address is elsewhere" } else { "" };
    format!("{name} {state}: weight {weight}, quorum {quorum}{hysteresis}{sorry}{suspended}")
}

/// A line for each check of a server; one alone where it has none.
fn rows(server: &ServerHealth) -> Vec<Row> {
    let state = if server.is_up { "up" } else { "down" };
    let weight = server.weight.map_or_else(|| "out".to_owned(), |weight| format!("weight {weight}"));
    let first = |checked: [String; 4]| {
        let [check, path, result, when] = checked;
        [server.address.to_string(), state.to_owned(), weight.clone(), check, path, result, when]
    };
    if server.checks.is_empty() {
        return vec![first(["not checked".to_owned(), String::new(), String::new(), String::new()])];
    }
    let empty = || String::new();
    let row = |(index, check): (usize, &CheckListing)| {
        let [name, path, result, when] = cells(check, server);
        if index == 0 {
            first([name, path, result, when])
        } else {
            [empty(), empty(), empty(), name, path, result, when]
        }
    };
    server.checks.iter().enumerate().map(row).collect()
}

fn cells(check: &CheckListing, server: &ServerHealth) -> [String; 4] {
    let target = if check.target == server.address { String::new() } else { format!(" {}", check.target) };
    let name = format!("{}{target}", check.check);
    let result = check.result.clone().unwrap_or_else(|| "not yet".to_owned());
    let took = check.took.map_or_else(String::new, |took| format!(" ({took:.1} ms)"));
    let when = check.ago.map_or_else(String::new, |ago| format!("{ago:.1} s ago{took}"));
    [name, check.path.clone(), result, when]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, result: Option<&str>) -> CheckListing {
        CheckListing {
            check: "TCP_CHECK".to_owned(),
            target: address.parse().unwrap(),
            path: "host".to_owned(),
            is_up: result == Some("ok"),
            has_run: result.is_some(),
            since: None,
            ago: result.map(|_| 1.25),
            took: result.map(|_| 0.5),
            result: result.map(str::to_owned),
            users: 1,
        }
    }

    #[test]
    fn each_check_is_told_with_its_result_and_its_time() {
        let server = |address: &str, result: Option<&str>| ServerHealth {
            address: address.parse().unwrap(),
            is_up: result != Some("connection refused"),
            weight: (result == Some("ok")).then_some(3),
            checks: vec![check(address, result)],
        };
        let pool = HealthListing {
            name: "[192.0.2.10]:tcp:80".to_owned(),
            has_quorum: true,
            is_sorry: false,
            is_suspended: false,
            weight: 3,
            quorum: 1,
            hysteresis: 0,
            servers: vec![
                server("10.0.0.1:80", Some("ok")),
                server("10.0.0.12:80", Some("connection refused")),
                server("10.0.0.3:80", None),
            ],
        };
        let expected = "\
[192.0.2.10]:tcp:80 has its quorum: weight 3, quorum 1
  10.0.0.1:80   up    weight 3  TCP_CHECK  host  ok                  1.2 s ago (0.5 ms)
  10.0.0.12:80  down  out       TCP_CHECK  host  connection refused  1.2 s ago (0.5 ms)
  10.0.0.3:80   up    out       TCP_CHECK  host  not yet
";
        assert_eq!(text(&[pool]), expected);
    }
}
