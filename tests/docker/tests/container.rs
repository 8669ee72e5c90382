//! What a member's container is: name, hostname, environment, limits, network, output.

use std::{net::SocketAddr, time::Duration};

use lbpool_tests::process::{Pool, Sandbox, request, wait_for};
use lbpool_tests_docker::{Engine, LIMIT, Up, docker, pool};
use rustix::process::Signal;

#[test]
fn a_member_is_the_container_that_its_template_describes() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let text = pool().to_string().replace("lbpool/backend:0.1.0", &engine.image)
        + "        resources: {requests: {cpu: 50m, memory: 16Mi}, limits: {cpu: 500m, memory: 64Mi}}
        securityContext: {runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: scratch, mountPath: /scratch}, {name: disk, mountPath: /disk}]
      volumes: [{name: scratch, emptyDir: {medium: Memory, sizeLimit: 4Mi}}, {name: disk, emptyDir: {}}]
  members: [{name: Seat-A}]
";
    let mut up = Up::begin(&sandbox, &engine, &text, &[]);
    up.settled(3, 1);
    let member = engine.in_seat("Seat-A").unwrap();
    assert!(member.name.starts_with("seat-a-"), "{}", member.name);
    let inspect = |format: &str| engine.inspect(&member.id, format).unwrap();
    for (format, want) in [
        ("{{.Config.Hostname}}", "seat-a"),
        ("{{.HostConfig.Memory}}", "67108864"),
        ("{{.HostConfig.MemorySwap}}", "67108864"),
        ("{{.HostConfig.NanoCpus}}", "500000000"),
        ("{{.HostConfig.CpuShares}}", "51"),
        ("{{.HostConfig.ReadonlyRootfs}}", "true"),
        ("{{.HostConfig.SecurityOpt}}", "[no-new-privileges]"),
        ("{{.HostConfig.RestartPolicy.Name}}", "no"),
        ("{{index .Config.Labels \"lbpool.dev/seat\"}}", "Seat-A"),
        ("{{index .Config.Labels \"lbpool.dev/member\"}}", "seat-a"),
        ("{{index .Config.Labels \"lbpool.dev/generation\"}}", "1"),
        // A folder in memory is a mount to one engine and an option to another.
        (
            "{{range .Mounts}}{{if eq .Destination \"/disk\"}}{{.Type}}{{end}}{{end}}",
            "volume",
        ),
    ] {
        assert_eq!(inspect(format), want, "{format}");
    }
    assert_eq!(docker(&["port", &member.id]).unwrap(), "", "nothing is published");
    // Docker keeps the word, Podman what it means.
    let dropped = inspect("{{.HostConfig.CapDrop}}");
    assert!(dropped == "[ALL]" || dropped.contains("SYS_CHROOT"), "{dropped}");
    let env = inspect("{{range .Config.Env}}{{println .}}{{end}}");
    for variable in ["SERVER_ID=Seat-A", "PORT=5000", "HOSTNAME=seat-a", "TEST_VERSION=1"] {
        assert!(env.lines().any(|line| line == variable), "{variable} in {env}");
    }
    up.send(Signal::TERM);
    assert_eq!(up.ended().0, Some(0));
    engine.assert_nothing_left("fish");
}

#[test]
fn what_an_engine_can_not_do_is_refused_by_the_field_and_nothing_is_made() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let text = pool().to_string().replace("lbpool/backend:0.1.0", &engine.image)
        + "        volumeMounts: [{name: settings, mountPath: /etc/settings}]
      volumes: [{name: settings, configMap: {name: settings}}]
      affinity: {podAntiAffinity: {}}
      nodeSelector: {disk: ssd}
";
    let mut up = Up::begin(&sandbox, &engine, &text, &[]);
    assert_eq!(up.ended().0, Some(1));
    for path in [
        "spec.template.spec.volumes[0].configMap",
        "spec.template.spec.nodeSelector",
    ] {
        assert!(up.output().contains(path), "{}", up.output());
    }
    assert!(engine.containers("fish").is_empty());
}

#[test]
fn a_port_of_this_machine_where_the_network_is_not_reached() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let mut up = Up::start(
        &sandbox,
        &engine,
        &pool(),
        &["--publish", "loopback", "--network", "lbpool-other"],
    );
    let member = engine.in_seat("fish-0").unwrap();
    let port = docker(&["port", &member.id, "5000"]).unwrap();
    let address: SocketAddr = port.lines().next().unwrap().parse().unwrap();
    assert!(address.ip().is_loopback(), "{port}");
    let reply = request(address, "GET", "/home", "", "").unwrap();
    assert!(reply.body.contains("fish-0"), "{reply:?}");
    up.send(Signal::TERM);
    assert_eq!(up.ended().0, Some(0));
    engine.assert_nothing_left("fish");
}

#[test]
fn a_network_of_somebody_else_is_used_and_left() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    docker(&["network", "create", "pond"]).unwrap();
    let mut up = Up::start(&sandbox, &engine, &pool(), &["--network", "pond"]);
    up.send(Signal::TERM);
    assert_eq!(up.ended().0, Some(0));
    docker(&["network", "rm", "pond"]).unwrap();
}

#[test]
fn what_members_print_is_shown_by_seat() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let up = Up::start(&sandbox, &engine, &pool(), &[]);
    let seen = |seat: &str| sandbox.lbpool(&["logs", seat]).success();
    // The sample server says where it listens.
    wait_for("its first words", LIMIT, || match seen("fish-1") {
        log if log.contains("fish-1") && log.contains("5000") => Ok(()),
        log => Err(log),
    });
    let mut follow = sandbox.start("logs", "lbpool", &["logs", "fish-1", "-f", "-n", "0"]);
    let victim = engine.in_seat("fish-1").unwrap();
    docker(&["kill", &victim.id]).unwrap();
    follow.until("how it ended, and its successor", || match followed(&sandbox) {
        log if log.contains("killed (signal 9)") => Ok(()),
        log => Err(log),
    });
    let missing = sandbox.lbpool(&["logs", "fish-8"]).failure();
    assert!(missing.contains("fish-8"), "{missing}");
    drop(up);
}

fn followed(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path().join("logs.log")).unwrap_or_default()
}

#[test]
fn the_sample_server_runs_as_the_assignment_says() {
    let engine = Engine::new();
    let id = docker(&[
        "run",
        "-d",
        "-e",
        "SERVER_ID=1",
        "-p",
        "127.0.0.1:0:5000",
        &engine.image,
    ])
    .unwrap();
    let port = docker(&["port", &id, "5000"]).unwrap();
    let address: SocketAddr = port.lines().next().unwrap().parse().unwrap();
    let reply = wait_for("an answer", LIMIT, || {
        request(address, "GET", "/home", "", "").map_err(|error| error.to_string())
    });
    assert_eq!(
        reply.body,
        r#"{"message":"Hello from Server: 1","status":"successful"}"#
    );
    let heartbeat = request(address, "GET", "/heartbeat", "", "").unwrap();
    assert_eq!((heartbeat.status, heartbeat.body.as_str()), (200, ""));
    docker(&["rm", "-fv", &id]).unwrap();
}

#[test]
fn a_member_that_ends_at_once_is_told_with_its_last_words() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let broken = Pool {
        args: vec!["--no-such-flag"],
        ..pool()
    };
    let text = broken.to_string().replace("lbpool/backend:0.1.0", &engine.image);
    let mut up = Up::begin(&sandbox, &engine, &text, &[]);
    let (reason, message) = up.until("it says so", Up::degraded);
    println!("{reason}: {message}");
    assert!(message.contains("exit status 2: "), "{message}");
    up.until("it waits longer and longer", |up| match up.degraded()? {
        (reason, _) if reason == "BackOff" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    up.send(Signal::TERM);
    let (code, took) = up.ended();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(30), "{took:?}");
    engine.assert_nothing_left("fish");
}
