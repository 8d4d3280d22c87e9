//! What a container of ours may not do, looked at from inside, and how one that may is found out.

use std::time::Duration;

use bollard::models;
use bollard::query_parameters::{CreateContainerOptionsBuilder, InspectContainerOptions};
use convergence_runtime::{Desired, Deviation, Placement, Removal, Runtime};

use crate::fixture::{by_hand, on_docker};

const WAIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn docker_hardening_holds_inside() {
    on_docker("inside", async |docker, fixture| {
        let workload = fixture.prepare(docker).await;
        let _ = docker.ensure(&workload, Desired::ONE).await.unwrap();
        docker.wait_ready(&workload, WAIT).await.unwrap();
        for check in [
            "test $(id -u):$(id -g) = 10001:10001",
            "grep -Eq '^CapEff:\\s0+$' /proc/self/status",
            "grep -Eq '^CapBnd:\\s0+$' /proc/self/status",
            "grep -Eq '^NoNewPrivs:\\s1$' /proc/self/status",
            "grep -Eq '^Seccomp:\\s2$' /proc/self/status",
            "! touch /app/x && ! touch /x",
            "touch /data/kept && touch /tmp/x && touch $HOME/y",
            "! dd if=/dev/zero of=/tmp/big bs=1M count=9",
            "rm /tmp/big",
            "cp /bin/true /tmp/true && ! /tmp/true",
            "cp /bin/true /scratch/true && /scratch/true",
            "test $(ulimit -c) = 0",
            "grep -q 'docker-init' /proc/1/comm || grep -q tini /proc/1/cmdline || grep -q init /proc/1/cmdline",
            "grep -q host.convergence.internal /etc/hosts",
            "! test -e /var/run/docker.sock",
            "test \"$KEY\" = 'sk_$ecret'",
            "test $(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null) = 67108864",
        ] {
            let command = ["sh", "-c", check].map(str::to_owned);
            assert_eq!(docker.exec(&workload.name, &command, WAIT, &mut |_, _| {}).await.unwrap(), 0, "{check}");
        }

        // Other limits hold inside as well, at once.
        let mut larger = workload.clone();
        larger.limits.memory_mb = 96;
        docker.resize(&larger).await.unwrap();
        let check =
            "test $(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null) = 100663296";
        let command = ["sh", "-c", check].map(str::to_owned);
        assert_eq!(docker.exec(&workload.name, &command, WAIT, &mut |_, _| {}).await.unwrap(), 0, "{check}");
    })
    .await;
}

#[tokio::test]
async fn docker_containers_that_may_more_are_found_and_replaced() {
    on_docker("tamper", async |docker, fixture| {
        let workload = fixture.prepare(docker).await;
        let _ = docker.ensure(&workload, Desired::Stopped).await.unwrap();
        let by_hand = by_hand().await;
        let found = by_hand.inspect_container(&workload.name, None::<InspectContainerOptions>).await.unwrap();
        assert_eq!(docker.remove(&workload.name, fixture.owner()).await.unwrap(), Removal::Removed);

        // The same name and the same labels, so that only an inspection can tell.
        let config = found.config.unwrap();
        let mut host = found.host_config.unwrap();
        host.privileged = Some(true);
        host.cap_add = Some(vec!["SYS_ADMIN".to_owned()]);
        host.network_mode = Some("host".to_owned());
        host.binds = Some(vec!["/:/host:rw".to_owned()]);
        host.pid_mode = Some("host".to_owned());
        host.readonly_rootfs = Some(false);
        host.memory = Some(0);
        host.memory_swap = Some(0);
        host.port_bindings = None;
        let body = models::ContainerCreateBody {
            image: config.image,
            labels: config.labels,
            user: Some("0:0".to_owned()),
            env: Some(vec!["KEY=another".to_owned()]),
            cmd: Some(vec!["sh".to_owned()]),
            host_config: Some(host),
            ..Default::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&workload.name).build();
        by_hand.create_container(Some(options), body).await.unwrap();

        let deviations = docker.verify(&workload).await.unwrap();
        let fields: Vec<_> = deviations.iter().map(|deviation| deviation.field.as_str()).collect();
        for field in [
            "HostConfig.Privileged",
            "HostConfig.CapAdd",
            "HostConfig.NetworkMode",
            "HostConfig.Binds",
            "HostConfig.PidMode",
            "HostConfig.ReadonlyRootfs",
            "HostConfig.Memory",
            "HostConfig.PortBindings",
            "Config.User",
            "Config.Cmd",
            "Config.Env.KEY",
            "Mounts",
        ] {
            assert!(fields.contains(&field), "{field} is not among {fields:?}");
        }
        let secret = |deviation: &Deviation| format!("{deviation:?}").contains("ecret");
        assert!(!deviations.iter().any(secret), "{deviations:?}");

        assert_eq!(docker.ensure(&workload, Desired::Stopped).await, Ok(Placement::Replaced));
        assert_eq!(docker.verify(&workload).await.unwrap(), []);
    })
    .await;
}
