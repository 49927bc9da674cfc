//! What the fuzzer and the tests do with one input.

use lvsd::keepalived;

/// Reads the text as keepalived.conf. Panics where a law is broken: what is refused is shown with its place, and what
/// is taken is taken again in the same way.
pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // Definitions can grow far: what matters here is how they are read.
    if text.len() > 20_000 || text.contains("~SEQ") && text.len() > 400 {
        return;
    }
    match keepalived::parse("input", text, "main") {
        Ok(reading) => {
            let _ = reading.warnings.to_string();
            let again = keepalived::parse("input", text, "main").expect("what was taken is taken again");
            assert_eq!(reading.declared.services, again.declared.services);
        }
        Err(mistakes) => {
            let told = mistakes.to_string();
            assert!(told.contains("--> input:"), "no place in: {told}");
        }
    }
}
