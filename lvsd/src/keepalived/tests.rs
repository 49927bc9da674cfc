use super::*;

#[test]
fn nothing_declares_nothing() {
    let reading = parse("empty", "", "host").unwrap();
    assert_eq!(reading.declared, Declared::default());
    assert!(reading.warnings.is_empty());
}

#[test]
fn a_program_without_its_path_is_looked_for() {
    let script = |script: &str| {
        let text = format!("vrrp_script s {{\n    script \"{script}\"\n}}\n");
        parse("one.conf", &text, "host").map(|reading| {
            let argv = reading.declared.vrrp.scripts[0].command.argv.join(" ");
            (argv, reading.warnings.to_string())
        })
    };
    let (argv, told) = script("sh -c 'exit 0'").unwrap();
    assert!(argv.starts_with('/') && argv.ends_with("/sh -c exit 0"), "{argv}");
    assert_eq!(told, "");
    let (argv, told) = script("no-such-program -x").unwrap();
    assert_eq!(argv, "no-such-program -x");
    assert!(told.contains("there is no program `no-such-program`"), "{told}");
    assert!(script("./check.sh").is_err());
    assert!(script("").is_err());
}
