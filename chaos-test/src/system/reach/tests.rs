//! Tests of what a fault may reach.

use super::*;
use crate::system::process::Signal;
use crate::system::proxy::{Direction, Toxic};
use crate::system::state_dir::StateDir;

#[tokio::test]
async fn what_is_no_target_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::at(folder.path().join("state")).unwrap();
    let link = |service: &str| Target::Link {
        service: service.into(),
        link: "any".into(),
    };
    let system = System {
        read: ReadOnlySystem {
            world: Arc::new(World::new(state, "17-4-0badcafe-0".into())),
            injection: 1,
            targets: [
                Target::Service("a".into()),
                Target::File(folder.path().join("named")),
            ]
            .into(),
        },
    };
    // There is no service at all, so what is allowed fails for that reason.
    for (service, refused) in [("a", false), ("b", true)] {
        let down = (Toxic::Down, Direction::Both);
        let whole = Target::Service(service.into());
        for done in [
            system.signal(service, Signal::Stop).await,
            system.end_process(service, false).await,
            system.start_process(service, false).await,
            system.add_toxic(&whole, down.0, down.1).await,
            system.add_toxic(&link(service), down.0, down.1).await,
        ] {
            let error = done.unwrap_err();
            assert_eq!(error.is_refused(), refused, "{error}");
        }
    }
    let restoring = |name: &str| system.undo_restoring(&folder.path().join(name));
    restoring("named").unwrap();
    let error = restoring("other").unwrap_err();
    assert!(error.is_refused(), "{error}");
    assert!(
        error.to_string().contains("name only service `a`, file"),
        "{error}"
    );
    assert!(restoring("named/../other").unwrap_err().is_refused());
}
