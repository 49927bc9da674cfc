use super::*;

#[test]
fn nothing_declares_nothing() {
    let reading = parse("empty", "", "host").unwrap();
    assert_eq!(reading.declared, Declared::default());
    assert!(reading.warnings.is_empty());
}
