//! When faults are permitted: windows of the week, and days on which none is.
//!
//! Both are told by the wall clock of a zone. Where that clock is set forward or back, a window is
//! open for as long as the clock shows a time in it: shorter or longer than on other days, twice
//! where an hour comes twice, and not at all where it is left out.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Finds a zone by its name: `None` where this machine knows of no zones at all.
pub type FindZone<'a> = &'a dyn Fn(&str) -> Result<Option<TimeZone>, String>;

/// Nobody holds a fault for longer than this within windows.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
const DAY: u16 = 24 * 60;

/// The wall clock of a place.
#[derive(Debug, Clone)]
struct Clock {
    name: String,
    /// `None` where this machine cannot tell what that clock shows.
    zone: Option<TimeZone>,
}

impl Clock {
    fn find(name: &str, find: FindZone<'_>) -> Result<Self, String> {
        let zone = find(name)?;
        let name = name.to_owned();
        Ok(Self { name, zone })
    }

    fn shows(&self, at: Timestamp) -> Option<DateTime> {
        Some(self.zone.as_ref()?.to_datetime(at))
    }

    /// When it shows a time: twice where that comes twice, and around the gap where it never comes.
    fn instants(&self, shown: DateTime) -> Vec<Timestamp> {
        let Some(zone) = &self.zone else {
            return Vec::new();
        };
        let (earlier, later) = (
            zone.to_ambiguous_timestamp(shown).earlier(),
            zone.to_ambiguous_timestamp(shown).later(),
        );
        earlier.into_iter().chain(later).collect()
    }
}

/// A window of the week, such as `Mon-Thu 09:00-16:00 Europe/Berlin`.
#[derive(Debug, Clone)]
pub struct Window {
    text: String,
    /// On which days it begins, Monday first.
    days: [bool; 7],
    /// Minutes of the day.
    from: u16,
    to: u16,
    clock: Clock,
}

/// Days on which nothing is broken, such as `2026-12-20..2027-01-06 Europe/Berlin`.
#[derive(Debug, Clone)]
pub struct Blackout {
    text: String,
    first: Date,
    last: Date,
    clock: Clock,
}

impl Window {
    /// Reads days, times and a zone.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str, find: FindZone<'_>) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [days, times, zone] = words.as_slice() else {
            return Err(format!(
                "`{text}` is no window: write days, times and a zone, such as \
                 `Mon-Thu 09:00-16:00 Europe/Berlin`"
            ));
        };
        let (from, to) = minutes(times).ok_or_else(|| {
            format!("`{times}` are no times of a day: write two, such as `09:00-16:00`")
        })?;
        if from == to {
            return Err(format!(
                "`{times}` is empty: a whole day is written `00:00-24:00`"
            ));
        }
        Ok(Self {
            text: words.join(" "),
            days: weekdays(days)?,
            from,
            to,
            clock: Clock::find(zone, find)?,
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn is_open(&self, at: Timestamp) -> bool {
        let Some(shown) = self.clock.shows(at) else {
            return false;
        };
        let minute = shown.hour() as u16 * 60 + shown.minute() as u16;
        let today = self.begins_on(shown.weekday());
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        // It began yesterday, or it begins today and ends tomorrow.
        (today && minute >= self.from)
            || (self.begins_on(shown.weekday().previous()) && minute < self.to)
    }

    fn begins_on(&self, day: Weekday) -> bool {
        self.days[day.to_monday_zero_offset() as usize]
    }

    /// When it may open or close on the days around some.
    fn edges(&self, days: impl Iterator<Item = Date>) -> Vec<Timestamp> {
        let edges = days.flat_map(|day| [self.from, self.to].map(|minute| at(day, minute)));
        edges
            .flatten()
            .flat_map(|shown| self.clock.instants(shown))
            .collect()
    }
}

impl Blackout {
    /// Reads a day, or a first and a last one, and a zone.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str, find: FindZone<'_>) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [days, zone] = words.as_slice() else {
            return Err(format!(
                "`{text}` are no days: write a first and a last one and a zone, such as \
                 `2026-12-20..2027-01-06 Europe/Berlin`"
            ));
        };
        let (first, last) = days.split_once("..").unwrap_or((days, days));
        let day = |text: &str| {
            let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
            let day = plain.then(|| text.parse::<Date>().ok()).flatten();
            day.ok_or_else(|| format!("`{text}` is no day: write one such as `2026-12-24`"))
        };
        let (first, last) = (day(first)?, day(last)?);
        if last < first {
            return Err(format!("`{days}` ends before it begins"));
        }
        Ok(Self {
            text: words.join(" "),
            first,
            last,
            clock: Clock::find(zone, find)?,
        })
    }

    /// Where nobody can tell what day it is there, it may be one of these.
    fn is_on(&self, at: Timestamp) -> bool {
        let shown = self.clock.shows(at);
        shown.is_none_or(|shown| (self.first..=self.last).contains(&shown.date()))
    }

    fn edges(&self) -> Vec<Timestamp> {
        let after = self.last.checked_add(1.day()).ok();
        let days = [Some(self.first), after].into_iter().flatten();
        days.filter_map(|day| at(day, 0))
            .flat_map(|shown| self.clock.instants(shown))
            .collect()
    }
}

/// All windows and blackouts of an environment.
#[derive(Debug, Clone, Copy)]
pub struct Calendar<'a> {
    pub windows: &'a [Window],
    pub blackouts: &'a [Blackout],
}

/// What forbids a fault at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// None of the windows is open; what their clocks show.
    NoWindow(String),
    /// It is one of the days of a blackout.
    Blackout(String),
}

impl<'a> Calendar<'a> {
    /// The window that is open; none where there are none, which is always open.
    ///
    /// # Errors
    ///
    /// All that forbids it.
    pub fn look(self, at: Timestamp) -> Result<Option<&'a Window>, Vec<Closed>> {
        let open = self.windows.iter().find(|window| window.is_open(at));
        let mut closed = Vec::new();
        if open.is_none() && !self.windows.is_empty() {
            closed.push(Closed::NoWindow(self.clocks(at)));
        }
        for blackout in self.blackouts {
            if blackout.is_on(at) {
                let unknown = match blackout.clock.zone {
                    Some(_) => String::new(),
                    None => format!(": {}", unknown(&blackout.clock.name)),
                };
                closed.push(Closed::Blackout(format!("`{}`{unknown}", blackout.text)));
            }
        }
        if closed.is_empty() {
            Ok(open)
        } else {
            Err(closed)
        }
    }

    /// What is shown by the clocks of its windows.
    fn clocks(self, at: Timestamp) -> String {
        let mut told: Vec<String> = Vec::new();
        for Window { clock, .. } in self.windows {
            let text = match clock.shows(at) {
                Some(shown) => {
                    format!("it is {} in {}", shown.strftime("%a %F %R"), clock.name)
                }
                None => unknown(&clock.name),
            };
            if !told.contains(&text) {
                told.push(text);
            }
        }
        told.join(", ")
    }

    /// When it is closed first, if that is before so much time has passed. It is open at `from`.
    pub fn closes_within(self, from: Timestamp, length: Duration) -> Option<Timestamp> {
        if self.windows.is_empty() && self.blackouts.is_empty() {
            return None;
        }
        let end = |length: Duration| {
            let length = jiff::SignedDuration::try_from(length).ok()?;
            from.checked_add(length).ok()
        };
        let (until, too_long) = match end(length.min(LONGEST)) {
            Some(until) => (until, length > LONGEST),
            None => (Timestamp::MAX, true),
        };
        let mut edges = self.edges(from, until);
        edges.retain(|edge| (from..until).contains(edge));
        edges.sort_unstable();
        // Between two edges nothing changes.
        let mut edges = edges.into_iter();
        let closed = edges.find(|&edge| self.look(edge).is_err());
        closed.or_else(|| too_long.then_some(until))
    }

    fn edges(self, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let mut edges: Vec<Timestamp> = self.blackouts.iter().flat_map(Blackout::edges).collect();
        for window in self.windows {
            let (Some(first), Some(last)) = (window.clock.shows(from), window.clock.shows(until))
            else {
                continue;
            };
            let day_before = first.date().yesterday().unwrap_or(first.date());
            let days = day_before.series(1.day());
            edges.extend(window.edges(days.take_while(|day| *day <= last.date())));
        }
        let blackouts = self.blackouts.iter().map(|blackout| &blackout.clock);
        let clocks = self.windows.iter().map(|window| &window.clock);
        for zone in clocks
            .chain(blackouts)
            .filter_map(|clock| clock.zone.as_ref())
        {
            let set = zone
                .following(from)
                .map(|transition| transition.timestamp());
            edges.extend(set.take_while(|at| *at < until));
        }
        edges
    }
}

fn unknown(zone: &str) -> String {
    format!(
        "nobody can tell what time it is in {zone}, because this machine has no time zones \
         (install tzdata, or write an offset such as +01:00)"
    )
}

/// A minute of a day; that of its end is the first one of the next.
fn at(day: Date, minute: u16) -> Option<DateTime> {
    if minute == DAY {
        return Some(day.tomorrow().ok()?.to_datetime(Time::midnight()));
    }
    let (hour, minute) = (minute / 60, minute % 60);
    Some(day.at(hour as i8, minute as i8, 0, 0))
}

/// `09:00-16:00` as minutes of the day.
fn minutes(text: &str) -> Option<(u16, u16)> {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let two = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u16>().ok())?
        };
        let (hour, minute) = (two(hour)?, two(minute)?);
        let sound = minute < 60 && (hour < 24 || (hour == 24 && minute == 0));
        sound.then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from < DAY).then_some((from, to))
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// `Mon-Thu`, `Sat,Sun` or `daily`.
fn weekdays(text: &str) -> Result<[bool; 7], String> {
    let day = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    if text == "daily" {
        return Ok([true; 7]);
    }
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Some(first), Some(last)) = (day(first), day(last)) else {
            return Err(format!(
                "`{text}` are no days: write `Mon`, `Tue`, `Wed`, `Thu`, `Fri`, `Sat`, `Sun`, such \
                 as `Mon-Thu` or `Sat,Sun`, or `daily`"
            ));
        };
        let mut today = first;
        days[today] = true;
        while today != last {
            today = (today + 1) % 7;
            days[today] = true;
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests;
