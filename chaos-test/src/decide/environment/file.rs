//! From the text of a configuration to environments. Everything that is wrong with it is told at
//! once, each with its place.

use std::ops::Range;
use std::time::Duration;

use jiff::SignedDuration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::decide::nearest::suggestion;
use crate::model::environment::Zone;
use crate::model::event::Risk;
use crate::model::slos::Slos;
use crate::model::units::{Percent, percent};

use super::pattern::Pattern;
use super::windows::{Blackout, FindZone, Window};
use super::{By, Environments, Policy, Ruled};

const TOP: &[&str] = &["default", "environment"];
const KEYS: &[&str] = &[
    "made_by_test",
    "may_break",
    "max_risk",
    "confirm",
    "attest",
    "windows",
    "blackout",
    "max_zones",
    "zones",
    "thresholds",
];
const ZONE: &[&str] = &["targets"];
const THRESHOLDS: &[&str] = &[
    "mttr",
    "error_rate",
    "availability",
    "latency_degradation",
    "recovery_time",
    "recovery_rate",
    "consistency",
];

/// Reads a configuration.
///
/// # Errors
///
/// All that is wrong with it, one `path:line:column: what` a line.
pub fn parse(text: &str, path: &str, zones: FindZone<'_>) -> Result<Environments, String> {
    let mut reader = Reader {
        text,
        path,
        zones,
        mistakes: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        reader.mistake(span, error.message().replace('\n', ", "));
    }
    let environments = if reader.mistakes.is_empty() {
        reader.environments(table.get_ref())
    } else {
        Environments::default()
    };
    let mut mistakes = reader.mistakes;
    if mistakes.is_empty() {
        return Ok(environments);
    }
    mistakes.sort_by_key(|(at, _)| *at);
    let mistakes = mistakes.into_iter().map(|(_, told)| told);
    Err(mistakes.collect::<Vec<_>>().join("\n"))
}

type Table<'i> = DeTable<'i>;
type Value<'i> = Spanned<DeValue<'i>>;

struct Reader<'a> {
    text: &'a str,
    path: &'a str,
    zones: FindZone<'a>,
    /// By where they are.
    mistakes: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn mistake(&mut self, at: Range<usize>, what: impl AsRef<str>) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        let told = format!("{}:{line}:{column}: {}", self.path, what.as_ref());
        self.mistakes.push((at.start, told));
    }

    /// The rule that a key at some place is.
    fn by(&self, at: Range<usize>) -> By {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        By::Line(format!(
            "{}:{}",
            self.path,
            before.matches('\n').count() + 1
        ))
    }

    fn unknown_keys(&mut self, table: &Table<'_>, known: &[&str], of: &str) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let suggestion = suggestion(name, known);
                self.mistake(key.span(), format!("unknown key `{name}`{of}{suggestion}"));
            }
        }
    }

    fn environments(&mut self, table: &Table<'_>) -> Environments {
        let mut environments = Environments::default();
        self.unknown_keys(table, TOP, "");
        if let Some((_, value)) = table.get_key_value("environment")
            && let Some(defined) = self.table(value, "environment")
        {
            for (name, value) in defined {
                let (at, name): (_, &str) = (name.span(), name.get_ref());
                self.name(at, name, "an environment");
                let key = format!("environment.{name}");
                if let Some(table) = self.table(value, &key) {
                    let policy = self.policy(name, table, &key);
                    environments.policies.insert(name.to_owned(), policy);
                }
            }
        }
        if let Some((key, value)) = table.get_key_value("default")
            && let Some(name) = self.string(value, "default", "an environment's name")
        {
            let names = environments.names();
            if !names.contains(&name.as_str()) {
                let suggestion = suggestion(&name, &names);
                self.mistake(
                    value.span(),
                    format!("there is no environment `{name}`{suggestion}"),
                );
            }
            let by = self.by(key.span());
            environments.default = Some(Ruled { is: name, by });
        }
        environments
    }

    fn name(&mut self, at: Range<usize>, name: &str, what: &str) {
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(sound) {
            let why = format!("`{name}` cannot be {what}'s name: letters, digits, `-` and `_` can");
            self.mistake(at, why);
        }
    }

    fn policy(&mut self, name: &str, table: &Table<'_>, of: &str) -> Policy {
        let mut policy = Policy::built_in(name);
        self.unknown_keys(table, KEYS, &format!(" in [{of}]"));
        for (key, value) in table {
            let (by, key): (_, &str) = (self.by(key.span()), key.get_ref());
            match key {
                "made_by_test" => rule(&mut policy.made_by_test, by, self.boolean(value, key)),
                "confirm" => rule(&mut policy.confirm, by, self.boolean(value, key)),
                "max_risk" => rule(&mut policy.max_risk, by, self.risk(value, key)),
                "max_zones" => {
                    let most = self.count(value, key).map(Some);
                    rule(&mut policy.max_zones, by, most);
                }
                "may_break" => {
                    let patterns = self.list(value, key, &mut |_, text| Pattern::parse(text));
                    rule(&mut policy.may_break, by, patterns);
                }
                "attest" => rule(&mut policy.attest, by, self.attest(value, key)),
                "windows" => {
                    let windows =
                        self.list(value, key, &mut |zones, text| Window::parse(text, zones));
                    if windows.as_ref().is_some_and(Vec::is_empty) {
                        let why = "no window is ever open: leave `windows` out for any time";
                        self.mistake(value.span(), why);
                    }
                    rule(&mut policy.windows, by, windows);
                }
                "blackout" => {
                    let days =
                        self.list(value, key, &mut |zones, text| Blackout::parse(text, zones));
                    rule(&mut policy.blackouts, by, days);
                }
                "zones" => self.zones(&mut policy, value, &format!("{of}.zones")),
                "thresholds" => {
                    if let Some(table) = self.table(value, key) {
                        let of = format!("{of}.thresholds");
                        policy.environment.thresholds = self.thresholds(table, &of);
                    }
                }
                _ => {}
            }
        }
        if let Some(most) = policy.max_zones.is
            && policy.zones.is_empty()
            && let Some((key, _)) = table.get_key_value("max_zones")
        {
            let why = format!("`max_zones` is {most}, and [{of}] has no zones");
            self.mistake(key.span(), why);
        }
        policy
    }

    fn zones(&mut self, policy: &mut Policy, value: &Value<'_>, of: &str) {
        let Some(zones) = self.table(value, "zones") else {
            return;
        };
        for (key, value) in zones {
            let (at, name): (_, &str) = (key.span(), key.get_ref());
            self.name(at.clone(), name, "a zone");
            let Some(table) = self.table(value, name) else {
                continue;
            };
            let of = format!("{of}.{name}");
            self.unknown_keys(table, ZONE, &format!(" in [{of}]"));
            let targets = match table.get("targets") {
                Some(value) => self.list(value, "targets", &mut |_, text| Pattern::parse(text)),
                None => {
                    self.mistake(at, format!("[{of}] has no `targets`"));
                    None
                }
            };
            let targets = targets.unwrap_or_default();
            policy.environment.zones.push(Zone {
                name: name.to_owned(),
                targets: targets
                    .iter()
                    .map(|target| target.text().to_owned())
                    .collect(),
            });
            policy.zones.push((name.to_owned(), targets));
        }
    }

    fn thresholds(&mut self, table: &Table<'_>, of: &str) -> Slos {
        let mut thresholds = Slos::default();
        self.unknown_keys(table, THRESHOLDS, &format!(" in [{of}]"));
        for (key, value) in table {
            let key: &str = key.get_ref();
            match key {
                "mttr" => thresholds.mttr = self.duration(value, key),
                "latency_degradation" => {
                    thresholds.latency_degradation = self.duration(value, key);
                }
                "recovery_time" => thresholds.recovery_time = self.duration(value, key),
                "error_rate" => thresholds.error_rate = self.share(value, key),
                "availability" => thresholds.availability = self.share(value, key),
                "recovery_rate" => thresholds.recovery_rate = self.share(value, key),
                "consistency" => thresholds.consistency = self.share(value, key),
                _ => {}
            }
        }
        thresholds
    }

    fn attest(&mut self, value: &Value<'_>, key: &str) -> Option<Vec<String>> {
        let mut seen: Vec<String> = Vec::new();
        self.list(value, key, &mut |_, text| {
            let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if text.is_empty() || !text.chars().all(sound) {
                return Err(format!(
                    "`{text}` cannot be attested: letters, digits, `-`, `_` and `.` can name it"
                ));
            }
            if seen.iter().any(|other| other == text) {
                return Err(format!("`{text}` is listed twice"));
            }
            seen.push(text.to_owned());
            Ok(text.to_owned())
        })
    }

    fn wrong_type(&mut self, value: &Value<'_>, key: &str, wanted: &str) {
        let is = match value.get_ref().type_str() {
            "array" => "a list".to_owned(),
            "integer" => "an integer".to_owned(),
            other => format!("a {other}"),
        };
        self.mistake(
            value.span(),
            format!("`{key}` is {is}, where {wanted} belongs"),
        );
    }

    fn table<'v, 'i>(&mut self, value: &'v Value<'i>, key: &str) -> Option<&'v Table<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(value, key, "a table");
        }
        table
    }

    fn string(&mut self, value: &Value<'_>, key: &str, wanted: &str) -> Option<String> {
        let string = value.get_ref().as_str();
        if string.is_none() {
            self.wrong_type(value, key, wanted);
        }
        string.map(str::to_owned)
    }

    fn boolean(&mut self, value: &Value<'_>, key: &str) -> Option<bool> {
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong_type(value, key, "`true` or `false`");
        }
        boolean
    }

    fn count(&mut self, value: &Value<'_>, key: &str) -> Option<usize> {
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(value, key, "a number from 1 up");
            return None;
        };
        let digits = (integer.radix() == 10).then(|| integer.as_str().replace('_', ""));
        let count = digits.and_then(|digits| digits.parse().ok());
        let count = count.filter(|count: &usize| *count > 0);
        if count.is_none() {
            let why = format!(
                "`{key}` is {}, where a number from 1 up belongs",
                integer.as_str()
            );
            self.mistake(value.span(), why);
        }
        count
    }

    fn risk(&mut self, value: &Value<'_>, key: &str) -> Option<Risk> {
        const RISKS: &[&str] = &["low", "medium", "high"];
        let name = self.string(value, key, "`low`, `medium` or `high`")?;
        match name.as_str() {
            "low" => Some(Risk::Low),
            "medium" => Some(Risk::Medium),
            "high" => Some(Risk::High),
            other => {
                let why = format!("there is no risk `{other}`{}", suggestion(other, RISKS));
                self.mistake(value.span(), why);
                None
            }
        }
    }

    fn duration(&mut self, value: &Value<'_>, key: &str) -> Option<Duration> {
        let text = self.string(value, key, "a duration such as `\"30s\"`")?;
        let parsed = text.parse::<SignedDuration>().ok();
        let duration = parsed.and_then(|duration| Duration::try_from(duration).ok());
        if duration.is_none() {
            let why =
                format!("`{key}` is `{text}`: write a duration such as `500ms`, `30s` or `2m`");
            self.mistake(value.span(), why);
        }
        duration
    }

    fn share(&mut self, value: &Value<'_>, key: &str) -> Option<Percent> {
        let text = self.string(value, key, "a share such as `\"99.5%\"`")?;
        let number = text.strip_suffix('%').map(str::trim_end);
        let plain = |text: &&str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        let number: Option<f64> = number.filter(plain).and_then(|number| number.parse().ok());
        let share = number.filter(|share| (0.0..=100.0).contains(share));
        if share.is_none() {
            let why = format!("`{key}` is `{text}`: write a share from `0%` to `100%`");
            self.mistake(value.span(), why);
        }
        share.map(percent)
    }

    /// The entries of a list of texts; `None` where any of it is wrong.
    fn list<T>(
        &mut self,
        value: &Value<'_>,
        key: &str,
        entry: &mut dyn FnMut(FindZone<'_>, &str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let Some(values) = value.get_ref().as_array() else {
            self.wrong_type(value, key, "a list of texts");
            return None;
        };
        let mut entries = Vec::new();
        for value in values.iter() {
            let Some(text) = value.get_ref().as_str() else {
                self.wrong_type(value, key, "a text");
                continue;
            };
            match entry(self.zones, text) {
                Ok(entry) => entries.push(entry),
                Err(why) => self.mistake(value.span(), why),
            }
        }
        (entries.len() == values.len()).then_some(entries)
    }
}

/// What a file says replaces what is built in.
fn rule<T>(rule: &mut Ruled<T>, by: By, is: Option<T>) {
    if let Some(is) = is {
        *rule = Ruled { is, by };
    }
}
