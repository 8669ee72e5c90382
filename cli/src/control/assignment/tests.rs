use super::*;

#[test]
fn hosts_of_this_machine_are_ours() {
    let listen = "192.168.1.7".parse().unwrap();
    for host in [
        "localhost",
        "LOCALHOST:5000",
        "127.0.0.1:5000",
        "127.0.0.1",
        "[::1]:5000",
        "[::1]",
        "192.168.1.7:5000",
    ] {
        assert!(is_ours(host, listen), "{host}");
    }
    for host in [
        "",
        "evil.example",
        "localhost.evil.example",
        "192.168.1.8",
        "127.0.0.1.evil.example:5000",
        "localhost:x",
        "0.0.0.0",
    ] {
        assert!(!is_ours(host, listen), "{host}");
    }
    assert!(!is_ours("0.0.0.0:5000", "0.0.0.0".parse().unwrap()));
}
