use lbpool_core::validate;

use super::*;

fn recipe(container: &str, pod: &str, reach: Reach) -> Result<Recipe, Vec<String>> {
    let text = format!(
        "{{apiVersion: lbpool.dev/v1alpha1, kind: LoadBalancerPool, metadata: {{name: quiz, generation: 7}}, spec: {{replicas: 2, port: 5000, template: {{metadata: {{labels: {{team: red}}}}, spec: {{containers: [{{name: c, {container}}}]{pod}}}}}}}}}"
    );
    let pool = validate(&serde_yaml::from_str(&text).unwrap()).unwrap();
    let identity = Identity {
        seat: "Quiz-0".parse().unwrap(),
        name: "quiz-0-abcde".into(),
        uid: "u-1".into(),
        namespace: "default".into(),
        port: pool.port,
        address: None,
    };
    let owner = Owner {
        uid: None,
        pool: "quiz".into(),
        namespace: "default".into(),
        by: "1000@pc".into(),
    };
    let place = Place {
        network: "net",
        reach,
        owner: &owner,
    };
    Recipe::new(&pool, &identity, &place).map_err(|problems| problems.into_iter().map(|it| it.path).collect())
}

fn made(container: &str, pod: &str) -> Recipe {
    recipe(container, pod, Reach::Network).unwrap()
}

#[test]
fn a_member_has_its_seats_name_and_our_labels() {
    let body = made(
        "image: 'shop/web:1', env: [{name: PORT, value: '1'}, {name: SERVER_ID, value: x}]",
        "",
    )
    .body;
    assert_eq!(body.hostname.as_deref(), Some("quiz-0"));
    let env = body.env.unwrap();
    for variable in ["SERVER_ID=Quiz-0", "HOSTNAME=quiz-0", "PORT=5000"] {
        assert!(env.iter().any(|it| it == variable), "{variable} in {env:?}");
    }
    let labels = body.labels.unwrap();
    for (label, value) in [
        ("lbpool.dev/pool", "quiz"),
        ("lbpool.dev/member", "quiz-0"),
        ("lbpool.dev/seat", "Quiz-0"),
        ("lbpool.dev/generation", "7"),
        ("lbpool.dev/owner", "1000@pc"),
        ("team", "red"),
    ] {
        assert_eq!(labels[label], value);
    }
    let network = &body.networking_config.unwrap().endpoints_config.unwrap()["net"];
    assert_eq!(network.aliases.clone().unwrap(), ["quiz-0", "quiz-0.quiz-members"]);
}

#[test]
fn command_and_args_mean_what_they_mean_in_a_cluster() {
    let neither = made("image: i", "").body;
    assert_eq!((neither.entrypoint, neither.cmd), (None, None), "the image's own");
    let args = made("image: i, args: ['--seat', '$(SERVER_ID)', '$$(PORT)']", "").body;
    assert_eq!(args.entrypoint, None);
    assert_eq!(args.cmd.unwrap(), ["--seat", "Quiz-0", "$(PORT)"]);
    let both = made("image: i, command: [run], args: [x], workingDir: /srv", "").body;
    assert_eq!(both.entrypoint.unwrap(), ["run"]);
    assert_eq!(both.working_dir.as_deref(), Some("/srv"));
}

#[test]
fn an_image_has_a_tag_and_a_policy() {
    for (image, want) in [
        ("web", "web:latest"),
        ("shop.example:5000/web", "shop.example:5000/web:latest"),
        ("web:1", "web:1"),
        ("web@sha256:00", "web@sha256:00"),
    ] {
        assert_eq!(made(&format!("image: '{image}'"), "").image.name, want);
    }
    assert_eq!(made("image: web", "").image.pull, Pull::IfNotPresent);
    assert_eq!(made("image: web, imagePullPolicy: Always", "").image.pull, Pull::Always);
    let first = "spec.template.spec.containers[0]";
    assert_eq!(
        recipe("command: [x]", "", Reach::Network).unwrap_err(),
        [format!("{first}.image")]
    );
    assert_eq!(
        recipe("image: web, imagePullPolicy: Sometimes", "", Reach::Network).unwrap_err(),
        [format!("{first}.imagePullPolicy")]
    );
}

#[test]
fn ports_are_published_on_loopback_and_only_where_they_have_to_be() {
    let on_network = made(
        "image: i, ports: [{containerPort: 5000}, {containerPort: 9, protocol: UDP}]",
        "",
    )
    .body;
    assert_eq!(on_network.exposed_ports.unwrap(), ["5000/tcp", "9/udp"]);
    assert_eq!(on_network.host_config.unwrap().port_bindings, None);
    let published = recipe("image: i", "", Reach::Loopback).unwrap().body;
    let bindings = published.host_config.unwrap().port_bindings.unwrap();
    let binding = &bindings["5000/tcp"].clone().unwrap()[0];
    assert_eq!(binding.host_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(bindings.len(), 1);
}

#[test]
fn the_engine_never_restarts_a_member() {
    let host = made("image: i", "").body.host_config.unwrap();
    assert_eq!(host.restart_policy.unwrap().name, Some(RestartPolicyNameEnum::NO));
    assert_eq!(host.auto_remove, None, "its exit status is still to be read");
}

#[test]
fn limits_and_privileges_are_the_templates() {
    let container = "image: i, resources: {requests: {cpu: 50m, memory: 8Mi}, limits: {cpu: 1500m, memory: 64Mi}}, \
        securityContext: {runAsUser: 5, privileged: false, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}";
    let pod = ", securityContext: {runAsUser: 4, runAsGroup: 6, runAsNonRoot: true, supplementalGroups: [7]}";
    let recipe = made(container, pod);
    let host = recipe.body.host_config.unwrap();
    assert_eq!((host.nano_cpus, host.cpu_shares), (Some(1_500_000_000), Some(51)));
    assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
    assert_eq!(host.memory_reservation, Some(8 << 20));
    assert_eq!(recipe.body.user.as_deref(), Some("5:6"), "the container's user wins");
    assert_eq!(host.group_add.unwrap(), ["7"]);
    assert_eq!(host.security_opt.unwrap(), ["no-new-privileges"]);
    assert!(!recipe.image.rootless, "the template says as whom");
    assert!(
        made("image: i", ", securityContext: {runAsNonRoot: true}")
            .image
            .rootless
    );
}

#[test]
fn volumes_of_one_machine_are_mounted_and_others_refused() {
    let container = "image: i, volumeMounts: [{name: m, mountPath: /m}, {name: d, mountPath: /d}, {name: h, mountPath: /h, readOnly: true}, {name: n, mountPath: /n}]";
    let pod = ", volumes: [{name: m, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: d, emptyDir: {}}, \
        {name: h, hostPath: {path: /srv}}, {name: n, hostPath: {path: /new, type: DirectoryOrCreate}}]";
    let host = made(container, pod).body.host_config.unwrap();
    let mounts = host.mounts.unwrap();
    let kinds: Vec<String> = mounts.iter().map(|mount| mount.typ.unwrap().to_string()).collect();
    assert_eq!(kinds, ["tmpfs", "volume", "bind"]);
    assert_eq!(mounts[0].tmpfs_options.as_ref().unwrap().size_bytes, Some(1 << 20));
    assert_eq!(
        (mounts[2].source.as_deref(), mounts[2].read_only),
        (Some("/srv"), Some(true))
    );
    assert_eq!(host.binds.unwrap(), ["/new:/n"]);

    let wrong = recipe(
        "image: i, volumeMounts: [{name: s, mountPath: /s}, {name: none, mountPath: /x}]",
        ", volumes: [{name: s, secret: {secretName: s}}, {name: b, emptyDir: {sizeLimit: 1Mi}}]",
        Reach::Network,
    );
    assert_eq!(
        wrong.unwrap_err(),
        [
            "spec.template.spec.volumes[0].secret".to_owned(),
            "spec.template.spec.containers[0].volumeMounts[1].name".to_owned(),
        ]
    );
}

#[test]
fn addresses_are_not_known_before_a_container_has_one() {
    let wrong = recipe(
        "image: i, env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]",
        "",
        Reach::Network,
    );
    assert_eq!(
        wrong.unwrap_err(),
        ["spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath"]
    );
}
