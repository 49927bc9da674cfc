//! What is understood, and what is not. The forms are those of a recording of the kernel's.

use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn told(payload: &str, mode: Mode) -> Option<(SocketAddr, &str)> {
    let named = answer(payload.as_bytes(), mode, [10, 2, 0, 11].into())?;
    Some((named.at, &payload[named.range]))
}

fn told_v6(payload: &str) -> Option<(SocketAddr, &str)> {
    let named = answer(payload.as_bytes(), Mode::Extended, at("[2001:db8::b]:21").ip())?;
    Some((named.at, &payload[named.range]))
}

#[test]
fn pasv_and_epsv_are_found_wherever_they_stand() {
    for text in ["PASV\r\n", "pasv\r\n", "NOOP\r\nPaSv\r\n", "PASV\r\nNOOP\r\n", "xPASV\r\n"] {
        assert_eq!(command(text.as_bytes(), false), Some(Command::Passive), "{text:?}");
        assert_eq!(command(text.as_bytes(), true), None, "{text:?}");
    }
    for (text, v4, v6) in [("EPSV\r\n", true, true), ("epsv 1\r\n", true, false), ("EPSV 2\r\n", false, true)]
    {
        assert_eq!(command(text.as_bytes(), false).is_some(), v4, "{text:?}");
        assert_eq!(command(text.as_bytes(), true).is_some(), v6, "{text:?}");
    }
    for text in ["PASV \r\n", "PASV\n", "PASV\r", "PA", "", "SV\r\n", "EPSV ALL\r\n", "EPSV 12\r\n", "EPSV 1"]
    {
        assert_eq!(command(text.as_bytes(), false), None, "{text:?}");
    }
}

#[test]
fn port_and_eprt_name_the_client() {
    for (text, client) in [
        ("PORT 198,51,100,7,156,66\r\n", "198.51.100.7:40002"),
        ("port 198,51,100,7,1,2,3\r\n", "198.51.100.7:258"),
        ("PORT  198,51,100,7,1,8\r\n", "198.51.100.7:264"),
        ("PORT198,51,100,7,2,7 \r\n", "198.51.100.7:519"),
        ("EPRT |1|198.51.100.7|6275|\r\n", "198.51.100.7:6275"),
        ("EPRT  !1!198.51.100.7!6281!\r\n", "198.51.100.7:6281"),
    ] {
        assert_eq!(command(text.as_bytes(), false), Some(Command::Active(at(client))), "{text:?}");
    }
    let text = b"EPRT |2|2001:db8:c::77|06277|\r\n";
    assert_eq!(command(text, true), Some(Command::Active(at("[2001:db8:c::77]:6277"))));
    assert_eq!(command(b"PORT 198,51,100,7,1,2\r\n", true), None);
    for text in [
        "PORT 198,51,100,7,1\r\n",
        "PORT 198,51,100,7,1,7",
        " PORT 198,51,100,7,1,9\r\n",
        "PORT x(198,51,100,7,2,8\r\n",
        "PORT 300,51,100,7,1,8\r\n",
        "EPRT |1|198.51.100.7|6277",
        "EPRT |1|198.51.100.7|0|\r\n",
        "EPRT |1|198.51.100.7|65538|\r\n",
        "EPRT |2|2001:db8::1|6276|\r\n",
        "EPRT |||6276|\r\n",
        "EPRT(|1|198.51.100.7|6282|\r\n",
    ] {
        assert_eq!(command(text.as_bytes(), false), None, "{text:?}");
    }
}

#[test]
fn an_answer_to_pasv_names_address_and_port() {
    for (text, server, place) in [
        ("227 Entering Passive Mode (10,2,0,11,200,10).\r\n", "10.2.0.11:51210", "10,2,0,11,200,10"),
        ("227 =10,2,0,11,20,2\r\n", "10.2.0.11:5122", "10,2,0,11,20,2"),
        ("227 ((10,2,0,12,20,5) and (10,2,0,11,20,6)\r\n", "10.2.0.12:5125", "10,2,0,12,20,5"),
        ("227 (010,002,000,011,020,021)\r\n", "10.2.0.11:5141", "010,002,000,011,020,021"),
        ("227 (10,2,0,11,0,0)\r\n", "10.2.0.11:0", "10,2,0,11,0,0"),
    ] {
        assert_eq!(told(text, Mode::Passive), Some((at(server), place)), "{text:?}");
        assert_eq!(told(text, Mode::Active), None);
        assert_eq!(told(text, Mode::Extended), None);
    }
    for text in [
        "227-(10,2,0,11,20,17)\r\n",
        "200 x\r\n227 (10,2,0,11,20,11)\r\n",
        "227 Entering (10,2,",
        "227 (10,2,0,11,20,12",
        "227 (266,2,0,11,20,20)\r\n",
        "227 (",
        "22",
        "",
    ] {
        assert_eq!(told(text, Mode::Passive), None, "{text:?}");
    }
}

#[test]
fn an_answer_to_epsv_names_the_port_and_perhaps_the_address() {
    for (text, server, place) in [
        ("229 Entering Extended Passive Mode (|||5001|)\r\n", "10.2.0.11:5001", "|||5001|"),
        ("229 Extended (!!!5006!)\r\n", "10.2.0.11:5006", "!!!5006!"),
        ("229 Extended (|1|10.2.0.12|5005|)\r\n", "10.2.0.12:5005", "|1|10.2.0.12|5005|"),
    ] {
        assert_eq!(told(text, Mode::Extended), Some((at(server), place)), "{text:?}");
        assert_eq!(told(text, Mode::Passive), None);
    }
    assert_eq!(told_v6("229 (|||7|)"), Some((at("[2001:db8::b]:7"), "|||7|")));
    assert_eq!(told_v6("229 (|2|2001:db8::c|7|)"), Some((at("[2001:db8::c]:7"), "|2|2001:db8::c|7|")));
    assert_eq!(told_v6("229 (|1|10.2.0.12|7|)"), None);
    for text in [
        "229 Extended |||5007|\r\n",
        "229 (|||5007)\r\n",
        "229 (|||x|)",
        "229 (||1|7|)",
        "229 ((((",
        "229 (|||||||",
    ] {
        assert_eq!(told(text, Mode::Extended), None, "{text:?}");
    }
}

#[test]
fn any_octets_are_read_without_harm() {
    let words =
        ["PASV\r\n", "EPSV ", "PORT ", "EPRT |1|", "227 (", "229 (|||", "1,2,3", "|", "255", "", "\r"];
    let mut state = 7u64;
    for _ in 0..20_000 {
        let mut payload = Vec::new();
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            payload.extend_from_slice(words[usize::try_from(state >> 60).unwrap() % words.len()].as_bytes());
            payload.push(state.to_be_bytes()[1]);
        }
        for v6 in [false, true] {
            let _ = command(&payload, v6);
        }
        for mode in [Mode::Passive, Mode::Extended] {
            if let Some(named) = answer(&payload, mode, [10, 2, 0, 11].into()) {
                assert!(!named.range.is_empty() && named.range.end <= payload.len());
            }
        }
    }
}

#[test]
fn texts_are_written_without_leading_zeros_and_never_too_long() {
    for text in ["255.255.255.255:65535", "0.0.0.0:0", "10.9.9.9:51210", "203.0.113.1:256"] {
        let SocketAddr::V4(v4) = at(text) else { panic!() };
        let [a, b, c, d] = v4.ip().octets();
        let [high, low] = v4.port().to_be_bytes();
        let expected = format!("{a},{b},{c},{d},{high},{low}");
        assert_eq!(Text::passive(at(text)).as_bytes(), expected.as_bytes());
        assert_eq!(Text::extended(v4.port()).as_bytes(), format!("|||{}|", v4.port()).as_bytes());
    }
}
