//! Whole configurations: what is wrong in them, and what comes of them.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::model::target::Target;
use crate::model::units::{percent, secs};

fn zone(name: &str) -> Result<Option<TimeZone>, String> {
    match name {
        "UTC" => Ok(Some(TimeZone::UTC)),
        "Europe/Berlin" => Ok(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").ok()),
        "America/New_York" => Ok(TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").ok()),
        _ => Err(format!("no zone `{name}`")),
    }
}

fn read(text: &str) -> Result<Environments, String> {
    parse(text, "c.toml", &zone)
}

fn policy(text: &str, name: &str) -> Policy {
    read(text).unwrap().active(name).unwrap().0
}

/// The example in the README.
fn example() -> String {
    let readme = include_str!("../../../../README.md");
    let blocks = readme.split("```toml\n").skip(1);
    let mut blocks = blocks.filter_map(|block| block.split_once("```"));
    let found = blocks.find(|(block, _)| block.contains("[environment.production]"));
    found.expect("the README has an example").0.to_owned()
}

/// Monday noon in Berlin.
const MONDAY: &str = "2026-11-23T11:00:00Z";

fn service(name: &str) -> Target {
    Target::Service(name.to_owned())
}

/// What forbids a fault.
struct Try<'a> {
    policy: &'a Policy,
    targets: Vec<Target>,
    made: Vec<Target>,
    risk: Risk,
    length: Option<Duration>,
    broken: BTreeSet<String>,
    at: &'a str,
    confirm: &'a str,
    attest: &'a str,
}

impl<'a> Try<'a> {
    fn of(policy: &'a Policy, target: &str) -> Self {
        Self {
            policy,
            targets: vec![service(target)],
            made: Vec::new(),
            risk: Risk::Medium,
            length: None,
            broken: BTreeSet::new(),
            at: MONDAY,
            confirm: "",
            attest: "",
        }
    }

    fn made(mut self) -> Self {
        self.made = self.targets.clone();
        self
    }

    fn permit(&self) -> Result<permit::Permit, Vec<String>> {
        let known = ["development", "staging", "production", "qa"];
        let given = Given::parse(self.confirm, self.attest, &known).unwrap();
        let asked = Asked {
            targets: &self.targets,
            made: &self.made,
            risk: self.risk,
            length: self.length,
            broken: &self.broken,
            now: self.at.parse::<Timestamp>().unwrap(),
        };
        self.policy.permit(asked, &given)
    }

    /// One line for each part of the refusal; none where it is permitted.
    #[track_caller]
    fn forbidden_by(&self, expected: &[&str]) {
        let missing = self.permit().err().unwrap_or_default();
        assert_eq!(missing, expected);
    }
}

#[test]
fn what_is_built_in_refuses_by_default() {
    let named = "is not in `may_break` (built in), which names nothing";
    let [development, staging, production] = BUILT_IN.map(|name| policy("", name));
    let other = "[environment.qa]";
    let qa = policy(other, "qa");

    let mut anything = Try::of(&development, "orders-db");
    anything.risk = Risk::High;
    anything.forbidden_by(&[]);

    Try::of(&staging, "cache").made().forbidden_by(&[]);
    let mut shared = Try::of(&staging, "orders-db");
    shared.risk = Risk::High;
    shared.forbidden_by(&[
        &format!("service `orders-db` {named}"),
        "its risk is high, and `max_risk` is medium (built in)",
    ]);
    for (policy, name) in [(&production, "production"), (&qa, "qa")] {
        Try::of(policy, "cache").made().forbidden_by(&[
            "service `cache` is made by the test (`made_by_test` is false, built in) and not in \
             `may_break` (built in), which names nothing",
            "its risk is medium, and `max_risk` is low (built in)",
            &format!(
                "nobody confirms it (`confirm`, built in): set CHAOS_CONFIRM=\"{name}/cache\""
            ),
        ]);
    }
}

#[test]
fn the_readme_s_example_is_read_as_it_says() {
    let environments = read(&example()).unwrap();
    let (policy, by) = environments.active("").unwrap();
    assert_eq!(policy.environment.name(), "development");
    assert_eq!(by, "`default`, c.toml:1");
    let (production, by) = environments.active(" production ").unwrap();
    assert_eq!(by, "CHAOS_ENVIRONMENT");
    let thresholds = production.environment.thresholds();
    assert_eq!(thresholds.mttr, Some(secs(30)));
    assert_eq!(thresholds.error_rate, Some(percent(1)));
    assert_eq!(thresholds.availability, Some(percent(99)));
    assert_eq!(
        thresholds.latency_degradation,
        Some(Duration::from_millis(500))
    );
    assert_eq!(thresholds.recovery_time, Some(secs(10)));
    assert_eq!(thresholds.recovery_rate, Some(percent(95)));
    assert_eq!(thresholds.consistency, Some(percent(100)));
    let zones = production.environment.zones().iter();
    let zones: Vec<_> = zones.map(|zone| (zone.name(), zone.targets())).collect();
    let names = |name: &str| vec![name.to_owned()];
    assert_eq!(
        zones,
        [
            ("eu-1", names("container:orders-db").as_slice()),
            ("eu-2", names("container:orders-replica").as_slice())
        ]
    );
    let sound = |target| {
        let mut sound = Try::of(&production, target);
        sound.targets = vec![Target::Container(target.to_owned())];
        sound.confirm =
            "production/container:orders-db,production/container:orders-replica,staging/cache";
        sound.attest = "reviewed=alice 2026-11-20,backup-taken=bob,tested=carol";
        sound
    };
    let permit = sound("orders-db").permit().unwrap();
    assert_eq!(permit.confirmed, ["production/container:orders-db"]);
    assert_eq!(
        permit.attested,
        ["reviewed=alice 2026-11-20", "backup-taken=bob"]
    );
    assert_eq!(
        permit.window.as_deref(),
        Some("Mon-Thu 09:00-16:00 Europe/Berlin")
    );
    let mut second = sound("orders-replica");
    second.forbidden_by(&[]);
    second.broken.insert("eu-1".to_owned());
    second.forbidden_by(&[
        "it would break 2 zones at once, 1 of them already broken (eu-1), and `max_zones` is 1 \
         (c.toml:16)",
    ]);
    second.broken = ["eu-2".to_owned()].into();
    second.forbidden_by(&[]);
    // The test chooses what it calls a service.
    let mut called = sound("orders-db");
    called.targets = vec![service("orders-db")];
    assert!(called.permit().is_err());
}

#[test]
fn all_that_forbids_a_fault_is_told_at_once() {
    let example = example().replace("max_risk = \"high\"", "max_risk = \"medium\"");
    let production = policy(&example, "production");
    let mut wrong = Try::of(&production, "cache");
    wrong.risk = Risk::High;
    wrong.at = "2026-12-24T21:30:00Z";
    wrong.confirm = "production/orders-db,development/cache";
    wrong.attest = "reviewed=alice";
    wrong.forbidden_by(&[
        "service `cache` is not in `may_break` (c.toml:10), which names \
         `container:orders-db`, `container:orders-replica`",
        "its risk is high, and `max_risk` is medium (c.toml:11)",
        "it is Thu 2026-12-24 22:30 in Europe/Berlin, and its windows (c.toml:14) are `Mon-Thu \
         09:00-16:00 Europe/Berlin`",
        "nothing may be broken on days in `blackout` (c.toml:15): `2026-12-20..2027-01-06 \
         Europe/Berlin`",
        "nobody attests backup-taken (`attest`, c.toml:13): set CHAOS_ATTEST=\"backup-taken=WHO \
         WHEN\"",
        "nobody confirms it (`confirm`, c.toml:12): set CHAOS_CONFIRM=\"production/cache\"",
    ]);
}

#[test]
fn every_target_is_confirmed_and_allowed() {
    let text =
        "[environment.production]\nmay_break = ['a', 'file:/srv', 'other:*']\nmax_risk = 'high'";
    let production = policy(text, "production");
    let mut several = Try::of(&production, "a");
    several.targets = vec![
        service("a"),
        Target::Link {
            service: "a".into(),
            link: "b->a:1".into(),
        },
        Target::File("/srv/x".into()),
    ];
    several.forbidden_by(&[
        "nobody confirms it (`confirm`, built in): set CHAOS_CONFIRM=\"production/a,production/file:/srv/x\"",
    ]);
    several.confirm = "production/a";
    several.forbidden_by(&[
        "nobody confirms it (`confirm`, built in): set CHAOS_CONFIRM=\"production/file:/srv/x\"",
    ]);
    several.confirm = "production/a,production/file:/srv/x";
    several.forbidden_by(&[]);
    let mut unsayable = Try::of(&production, "a");
    unsayable.targets = vec![Target::other("a,b")];
    unsayable.forbidden_by(&[
        "nobody can confirm `other:a,b` (`confirm`, built in), because of the characters in its name",
    ]);
}

#[test]
fn a_fault_that_lasts_beyond_its_window_is_refused() {
    let text = "[environment.staging]\nwindows = ['Mon 11:00-13:00 Europe/Berlin']";
    let staging = policy(text, "staging");
    let mut long = Try::of(&staging, "a").made();
    long.forbidden_by(&[]);
    long.length = Some(secs(3600));
    long.forbidden_by(&[]);
    long.length = Some(secs(3601));
    long.forbidden_by(&[
        "it lasts 60.02 min, and nothing may be broken any more in 60 min (c.toml:2)",
    ]);
    assert_eq!(staging.closed(MONDAY.parse().unwrap()), None);
    assert_eq!(
        staging
            .closed("2026-11-23T12:00:00Z".parse().unwrap())
            .as_deref(),
        Some(
            "it is Mon 2026-11-23 13:00 in Europe/Berlin, and its windows (c.toml:2) are `Mon \
             11:00-13:00 Europe/Berlin`"
        )
    );
    let text = "[environment.staging]\nblackout = ['2026-11-24 UTC']";
    let staging = policy(text, "staging");
    let mut long = Try::of(&staging, "a").made();
    long.length = Some(secs(13 * 3600));
    long.forbidden_by(&[]);
    long.length = Some(Duration::MAX);
    assert!(
        long.permit().unwrap_err()[0]
            .contains("nothing may be broken any more in 780 min (c.toml:2)")
    );
}

#[test]
fn mistakes_are_told_with_their_places_and_all_at_once() {
    for (text, expected) in [
        ("x = ", &["c.toml:1:5: "][..]),
        (
            "default = 'staging'\ndefault = 'x'",
            &["c.toml:2:1: duplicate key"],
        ),
        (
            "defualt = 'staging'",
            &["c.toml:1:1: unknown key `defualt`, did you mean `default`?"],
        ),
        (
            "default = 'stagin'",
            &["c.toml:1:11: there is no environment `stagin`, did you mean `staging`?"],
        ),
        (
            "default = 3",
            &["c.toml:1:11: `default` is an integer, where an environment's name belongs"],
        ),
        (
            "environment = 'staging'",
            &["c.toml:1:15: `environment` is a string, where a table belongs"],
        ),
        (
            "[environment.\"a/b\"]",
            &["c.toml:1:14: `a/b` cannot be an environment's name"],
        ),
        (
            "[environment.staging]\nmay_brake = []\nconfirm = 'yes'\nmax_risk = 'hig'\n\
             may_break = ['a', 3, 'fle:/x']\nmax_zones = 0\nattest = ['a', 'a', 'b c']\n\
             windows = []\nblackout = ['2026-13-01 UTC']\nmade_by_test = 1",
            &[
                "c.toml:2:1: unknown key `may_brake` in [environment.staging], did you mean \
                 `may_break`?",
                "c.toml:3:11: `confirm` is a string, where `true` or `false` belongs",
                "c.toml:4:12: there is no risk `hig`, did you mean `high`?",
                "c.toml:5:19: `may_break` is an integer, where a text belongs",
                "c.toml:5:22: no target is of the kind `fle`, did you mean `file`?",
                "c.toml:6:13: `max_zones` is 0, where a number from 1 up belongs",
                "c.toml:7:16: `a` is listed twice",
                "c.toml:7:21: `b c` cannot be attested",
                "c.toml:8:11: no window is ever open: leave `windows` out for any time",
                "c.toml:9:13: `2026-13-01` is no day",
                "c.toml:10:16: `made_by_test` is an integer, where `true` or `false` belongs",
            ],
        ),
        (
            "[environment.qa]\nmax_zones = 1",
            &["c.toml:2:1: `max_zones` is 1, and [environment.qa] has no zones"],
        ),
        (
            "[environment.qa.zones.a]\ntarget = []\n[environment.qa.zones.'ä b']\ntargets = 'x'",
            &[
                "c.toml:1:23: [environment.qa.zones.a] has no `targets`",
                "c.toml:2:1: unknown key `target` in [environment.qa.zones.a], did you mean",
                "c.toml:3:23: `ä b` cannot be a zone's name",
                "c.toml:4:11: `targets` is a string, where a list of texts belongs",
            ],
        ),
        (
            "[environment.qa.thresholds]\nmttr = '30'\nerror_rate = '101%'\navailability = 99\n\
             recovery_time = '-1s'\nrecovery_rate = '1e1%'\nlatency = '1s'\nconsistency = '.%'",
            &[
                "c.toml:2:8: `mttr` is `30`: write a duration such as",
                "c.toml:3:14: `error_rate` is `101%`: write a share from `0%` to `100%`",
                "c.toml:4:16: `availability` is an integer, where a share such as",
                "c.toml:5:17: `recovery_time` is `-1s`: write a duration",
                "c.toml:6:17: `recovery_rate` is `1e1%`: write a share",
                "c.toml:7:1: unknown key `latency` in [environment.qa.thresholds]",
                "c.toml:8:15: `consistency` is `.%`: write a share",
            ],
        ),
        (
            "# ä\n[environment.qa]\nwindows = [\n  'Mon 09:00-10:00 Mars',\n]",
            &["c.toml:4:3: no zone `Mars`"],
        ),
    ] {
        let why = read(text).unwrap_err();
        let lines: Vec<_> = why.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{text}\n{why}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{expected} in:\n{why}");
        }
    }
}

#[test]
fn an_environment_that_nobody_knows_is_an_error() {
    let environments = read("[environment.qa]").unwrap();
    let why = environments.active("prodution").unwrap_err();
    assert!(why.contains("did you mean `production`?"), "{why}");
    let why = environments.active("x").unwrap_err();
    assert!(
        why.ends_with("use `development`, `production`, `qa` or `staging`"),
        "{why}"
    );
    assert!(environments.know(&["qa", "staging"]).is_ok());
    let why = environments.know(&["qa", "stagin"]).unwrap_err();
    assert!(why.contains("did you mean `staging`?"), "{why}");
    let (policy, by) = environments.active("").unwrap();
    assert_eq!(
        (policy.environment.name(), by.as_str()),
        ("development", "the default")
    );
}
