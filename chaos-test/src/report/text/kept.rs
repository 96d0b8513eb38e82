//! What stays after a test that failed: how to reach it, and how to remove it.

use crate::model::event::Kept;
use crate::model::undo::Undo;

/// Where the `docker` command asks unless it is told otherwise.
const DEFAULT_ENGINE: &str = "unix:///var/run/docker.sock";

/// The lines that say it, to be copied from; none where nothing was kept.
#[must_use]
pub fn kept_lines(kept: &[Kept]) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut containers, mut networks) = (Vec::new(), Vec::new());
    let mut docker = String::new();
    for one in kept {
        match &one.undo {
            Undo::RemoveContainer {
                service,
                engine,
                container,
                ..
            } => {
                docker = docker_at(engine);
                containers.push(container.as_str());
                let state = if one.runs { "" } else { ", which does not run" };
                lines.push(format!("  {service} in container {container}{state}"));
                for (port, address) in &one.ports {
                    lines.push(format!("    port {port} at {address}"));
                }
                if one.runs {
                    lines.push(format!("    {docker} exec -it {container} sh"));
                }
                lines.push(format!("    {docker} logs {container}"));
            }
            Undo::RemoveNetwork {
                engine, network, ..
            } => {
                docker = docker_at(engine);
                networks.push(network.as_str());
            }
            _ => {}
        }
    }
    let remove = [("rm -fv", &containers), ("network rm", &networks)];
    let remove: Vec<String> = remove
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(verb, names)| format!("{docker} {verb} {}", names.join(" ")))
        .collect();
    if remove.is_empty() {
        return Vec::new();
    }
    lines.insert(
        0,
        "kept (CHAOS_KEEP=failed), at the engine's own addresses, because links end with the \
         test's process:"
            .to_owned(),
    );
    lines.push(format!("  remove: {}", remove.join(" && ")));
    lines
}

fn docker_at(engine: &str) -> String {
    if engine == DEFAULT_ENGINE {
        "docker".to_owned()
    } else {
        format!("docker --host {engine}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(service: &str, engine: &str, runs: bool) -> Kept {
        let ports = [(6379, "127.0.0.1:32768".parse().unwrap())];
        Kept {
            entry: 2,
            undo: Undo::RemoveContainer {
                service: service.into(),
                engine: engine.into(),
                container: format!("chaos-17-{service}"),
                token: String::new(),
            },
            runs,
            ports: ports.into_iter().filter(|_| runs).collect(),
        }
    }

    fn network(engine: &str) -> Kept {
        Kept {
            entry: 1,
            undo: Undo::RemoveNetwork {
                engine: engine.into(),
                network: "chaos-17".into(),
                token: String::new(),
            },
            runs: false,
            ports: vec![],
        }
    }

    #[test]
    fn each_can_be_reached_and_all_removed_in_one_line() {
        let kept = [
            container("shop", DEFAULT_ENGINE, true),
            container("cache", DEFAULT_ENGINE, false),
            network(DEFAULT_ENGINE),
        ];
        insta::assert_snapshot!(kept_lines(&kept).join("\n"), @r#"
        kept (CHAOS_KEEP=failed), at the engine's own addresses, because links end with the test's process:
          shop in container chaos-17-shop
            port 6379 at 127.0.0.1:32768
            docker exec -it chaos-17-shop sh
            docker logs chaos-17-shop
          cache in container chaos-17-cache, which does not run
            docker logs chaos-17-cache
          remove: docker rm -fv chaos-17-shop chaos-17-cache && docker network rm chaos-17
        "#);
    }

    #[test]
    fn another_engine_is_named_in_each_command() {
        let engine = "tcp://10.0.0.7:2375";
        let kept = [container("shop", engine, true), network(engine)];
        let lines = kept_lines(&kept);
        let commands: Vec<_> = lines.iter().filter(|it| it.contains("docker")).collect();
        assert_eq!(commands.len(), 3);
        for command in commands {
            let (every, named) = ("docker ", "docker --host tcp://10.0.0.7:2375 ");
            assert_eq!(
                command.matches(every).count(),
                command.matches(named).count(),
                "{command}"
            );
        }
        assert!(kept_lines(&[]).is_empty());
    }
}
