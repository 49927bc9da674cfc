//! Programs and sockets that come and go: without a socket, bound again, taken over, asleep, removed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs_forward::Verdict;
use lvs_forward::io::PacketIo;
use lvs_forward::io::xdp::{DeviceConfig, Mode, Program, ProgramError, XdpDevice, decap};

use crate::director::{Director, IN, OUT, config};
use crate::frames;
use crate::net::{CLIENT, Lab, VIP};

#[test]
#[ignore = "needs root"]
fn without_a_socket_a_services_packets_are_dropped_and_the_hosts_are_not() {
    let lab = Lab::new();
    let Director { program, device, .. } = Director::open(&lab, &["d0", "d1"], None);
    drop(device);
    let host = lab.director.udp("10.1.0.100:5000");
    let other = lab.director.udp("10.1.0.100:5001");
    let client = lab.client.udp("10.1.0.2:0");
    client.send_to(b"service", "10.1.0.100:5000").unwrap();
    client.send_to(b"host's", "10.1.0.100:5001").unwrap();
    let mut buffer = [0; 64];
    assert_eq!(other.recv(&mut buffer).unwrap(), 6);
    assert!(host.recv(&mut buffer).is_err(), "the host got a service's packet");
    assert_eq!(program.counts().unwrap().no_socket, 1);

    // As after a crash: nobody detaches, and the next program takes the place.
    drop(program);
    client.send_to(b"service", "10.1.0.100:5000").unwrap();
    assert!(host.recv(&mut buffer).is_err(), "a crash gave the service to the host");
    let second = Director::open(&lab, &["d0", "d1"], None);
    lab.director.enter(|| {
        second.program.detach("d0").unwrap();
        second.program.detach("d0").unwrap();
    });
    client.send_to(b"service", "10.1.0.100:5000").unwrap();
    assert_eq!(host.recv(&mut buffer).unwrap(), 7, "detached, the host gets all");
    assert!(!lab.director.ip("link show d0").contains("xdp"));
}

#[test]
#[ignore = "needs root"]
fn a_queue_just_closed_is_bound_again() {
    let lab = Lab::new();
    let Director { program, mut device, drops } = Director::open(&lab, &["d0", "d1"], None);
    for _ in 0..3 {
        drop(device);
        device = lab
            .director
            .enter(|| XdpDevice::open(&program, &config(&["d0", "d1"]), None, Arc::clone(&drops)).unwrap());
    }
    let taken = lab.director.enter(|| XdpDevice::open(&program, &config(&["d0"]), None, drops));
    let error = taken.unwrap_err().to_string();
    assert!(error.contains("d0 queue 0") && error.contains("another AF_XDP socket"), "{error}");
}

#[test]
#[ignore = "needs root"]
fn another_xdp_program_is_not_touched_and_is_named() {
    let lab = Lab::new();
    lab.director.enter(|| {
        let others = decap::Decap::default();
        decap::attach("d0", &others, None).unwrap();
        let error = Program::load().unwrap().attach("d0", None).unwrap_err();
        assert!(matches!(error, ProgramError::Occupied { ref name, .. } if name == decap::NAME), "{error}");
        assert!(error.to_string().contains("lvsd_decap"), "{error}");
        assert_eq!(decap::attached("d0").unwrap(), Some(others));
    });
}

#[test]
#[ignore = "needs root"]
fn an_interface_without_native_xdp_runs_it_in_the_general_path() {
    let lab = Lab::new();
    lab.director.ip("link add bridge type bridge");
    lab.director.ip("link set bridge up");
    lab.director.enter(|| {
        let program = Program::load().unwrap();
        assert_eq!(program.attach("bridge", None).unwrap(), Mode::Generic);
        XdpDevice::open(&program, &config(&["bridge"]), None, Arc::default()).unwrap();
        let error = Program::load().unwrap().attach("bridge", Some(Mode::Native)).unwrap_err();
        assert!(error.to_string().contains("interface bridge"), "{error}");
        assert!(program.attach("nowhere", None).unwrap_err().to_string().contains("nowhere"));
    });
}

#[test]
#[ignore = "needs root"]
fn a_successor_takes_the_interface_over_in_either_mode() {
    let lab = Lab::new();
    for mode in [Mode::Native, Mode::Generic] {
        let mut first = Director::open(&lab, &["d0"], Some(mode));
        let client = lab.client.raw("c0");
        let frame = frames::udp((CLIENT, 4000), (VIP, 5000), b"x");
        first.gets(&client, &[("the first", true, frame.clone())]);
        drop(first);
        let mut second = Director::open(&lab, &["d0"], None);
        assert_eq!(second.program.attached(), [("d0".to_owned(), mode)]);
        second.gets(&client, &[("the second", true, frame)]);
        lab.director.enter(|| second.program.detach("d0").unwrap());
    }
}

#[test]
#[ignore = "needs root"]
fn an_idle_device_sleeps() {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let lab = Lab::new();
    let Director { program, device, drops } = Director::open(&lab, &["d0", "d1"], None);
    drop(device);
    let config = DeviceConfig { spin: 1000, ..config(&["d0", "d1"]) };
    let mut device = lab.director.enter(|| XdpDevice::open(&program, &config, None, drops).unwrap());
    let used = || {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
    };
    let (before, end) = (used(), Instant::now() + Duration::from_secs(1));
    while Instant::now() < end {
        device.poll(64, |_, _| Verdict::Hold).unwrap();
        device.wait(Duration::from_millis(50)).unwrap();
    }
    let used = used() - before;
    assert!(used < 10_000, "{used} microseconds of a second");
}

#[test]
#[ignore = "needs root"]
fn a_removed_interface_leaves_the_others_working() {
    let lab = Lab::new();
    let mut director = Director::open(&lab, &["d0", "d1"], None);
    lab.director.ip("link del d1");
    director.device.wait(Duration::from_millis(1)).unwrap();
    assert!(director.device.is_alive(IN) && !director.device.is_alive(OUT));
    lab.client.raw("c0").send(&frames::udp((CLIENT, 1), (VIP, 5000), b"x"));
    let sum = director.serve(|_, _| Verdict::Send(OUT), |sum| sum.received == 1);
    assert_eq!((sum.received, sum.dropped), (1, 1));
    let started = Instant::now();
    director.device.wait(Duration::from_millis(50)).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(40), "a dead interface does not keep wait() awake");
}
