//! Windows and blackouts, at their boundaries and where clocks are set.

use super::*;

/// Zones by rules that are written here, so that no machine's database is asked.
fn find(name: &str) -> Result<Option<TimeZone>, String> {
    Ok(Some(match name {
        "UTC" => TimeZone::UTC,
        "+05:30" => TimeZone::fixed(jiff::tz::Offset::constant(5) + 30.minutes()),
        "Europe/Berlin" => TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap(),
        "Nowhere" => return Ok(None),
        _ => return Err(format!("no zone `{name}`")),
    }))
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[track_caller]
fn check(window: &str, at: &str, expected: bool) {
    let window = Window::parse(window, &find).unwrap();
    assert_eq!(
        window.is_open(time(at)),
        expected,
        "{} at {at}",
        window.text
    );
}

#[test]
fn a_window_is_open_from_its_first_minute_to_before_its_last() {
    // The 23rd of November 2026 is a Monday.
    for (window, at, expected) in [
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-23T08:59:59.999Z", false),
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-23T09:00:00Z", true),
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-23T15:59:59.999Z", true),
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-23T16:00:00Z", false),
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-26T12:00:00Z", true),
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-27T12:00:00Z", false),
        ("Mon-Thu 09:00-16:00 UTC", "2026-11-22T12:00:00Z", false),
        ("mon,SAT 00:00-24:00 UTC", "2026-11-28T23:59:59Z", true),
        ("mon,SAT 00:00-24:00 UTC", "2026-11-29T00:00:00Z", false),
        ("daily 09:00-10:00 UTC", "2026-11-29T09:30:00Z", true),
        // The week wraps.
        ("Fri-Mon 09:00-10:00 UTC", "2026-11-29T09:30:00Z", true),
        ("Fri-Mon 09:00-10:00 UTC", "2026-11-23T09:30:00Z", true),
        ("Fri-Mon 09:00-10:00 UTC", "2026-11-24T09:30:00Z", false),
        // Overnight: named after the day on which it begins.
        ("Fri 22:00-06:00 UTC", "2026-11-27T21:59:59Z", false),
        ("Fri 22:00-06:00 UTC", "2026-11-27T22:00:00Z", true),
        ("Fri 22:00-06:00 UTC", "2026-11-28T05:59:59Z", true),
        ("Fri 22:00-06:00 UTC", "2026-11-28T06:00:00Z", false),
        ("Fri 22:00-06:00 UTC", "2026-11-27T03:00:00Z", false),
        ("Sun 22:00-06:00 UTC", "2026-11-23T03:00:00Z", true),
        ("Sun 22:00-06:00 UTC", "2026-11-22T03:00:00Z", false),
        ("Mon 23:00-00:00 UTC", "2026-11-23T23:59:59Z", true),
        ("Mon 23:00-00:00 UTC", "2026-11-24T00:00:00Z", false),
        // Elsewhere it is another time, and another day.
        (
            "Mon 09:00-10:00 Europe/Berlin",
            "2026-11-23T08:30:00Z",
            true,
        ),
        (
            "Mon 09:00-10:00 Europe/Berlin",
            "2026-11-23T09:30:00Z",
            false,
        ),
        (
            "Mon 09:00-10:00 Europe/Berlin",
            "2026-07-06T07:30:00Z",
            true,
        ),
        ("Tue 00:00-01:00 +05:30", "2026-11-23T18:30:00Z", true),
        ("Mon 09:00-10:00 Nowhere", "2026-11-23T09:30:00Z", false),
    ] {
        check(window, at, expected);
    }
}

#[test]
fn a_window_follows_the_clock_where_that_is_set() {
    // The 28th of March 2027, 2:00 CET is 3:00 CEST; the 31st of October, 3:00 CEST is 2:00 CET.
    for (window, at, expected) in [
        (
            "Sun 02:00-03:00 Europe/Berlin",
            "2027-03-28T00:59:59Z",
            false,
        ),
        (
            "Sun 02:00-03:00 Europe/Berlin",
            "2027-03-28T01:00:00Z",
            false,
        ),
        (
            "Sun 02:30-03:30 Europe/Berlin",
            "2027-03-28T01:00:00Z",
            true,
        ),
        (
            "Sun 02:30-03:30 Europe/Berlin",
            "2027-03-28T01:29:59Z",
            true,
        ),
        (
            "Sun 02:30-03:30 Europe/Berlin",
            "2027-03-28T01:30:00Z",
            false,
        ),
        (
            "Sun 02:00-03:00 Europe/Berlin",
            "2027-10-31T00:30:00Z",
            true,
        ),
        (
            "Sun 02:00-03:00 Europe/Berlin",
            "2027-10-31T01:30:00Z",
            true,
        ),
        (
            "Sun 02:00-03:00 Europe/Berlin",
            "2027-10-31T02:00:00Z",
            false,
        ),
    ] {
        check(window, at, expected);
    }
}

#[track_caller]
fn closes(windows: &[&str], blackouts: &[&str], from: &str, hours: u64, expected: Option<&str>) {
    let window = |text: &&str| Window::parse(text, &find).unwrap();
    let blackout = |text: &&str| Blackout::parse(text, &find).unwrap();
    let windows: Vec<_> = windows.iter().map(window).collect();
    let blackouts: Vec<_> = blackouts.iter().map(blackout).collect();
    let calendar = Calendar {
        windows: &windows,
        blackouts: &blackouts,
    };
    assert!(calendar.look(time(from)).is_ok(), "{from}");
    let length = Duration::from_secs(hours * 3600);
    let closes = calendar.closes_within(time(from), length);
    assert_eq!(closes, expected.map(time), "{windows:?} from {from}");
}

#[test]
fn how_long_it_stays_open() {
    let day = "Mon-Thu 09:00-16:00 UTC";
    closes(&[], &[], "2026-11-23T09:00:00Z", 100_000_000, None);
    closes(&[day], &[], "2026-11-23T09:00:00Z", 6, None);
    // Until it closes, and not a moment longer.
    closes(&[day], &[], "2026-11-23T09:00:00Z", 7, None);
    let end = Some("2026-11-23T16:00:00Z");
    closes(&[day], &[], "2026-11-23T09:00:00.5Z", 7, end);
    closes(&[day], &[], "2026-11-23T09:00:00Z", 1000, end);
    // One window ends where the next one begins, or later.
    let evening = "Mon 16:00-20:00 UTC";
    let end = Some("2026-11-23T20:00:00Z");
    closes(&[day, evening], &[], "2026-11-23T09:00:00Z", 24, end);
    let overnight = "Mon 15:00-02:00 UTC";
    let end = Some("2026-11-24T02:00:00Z");
    closes(&[day, overnight], &[], "2026-11-23T09:00:00Z", 24, end);
    closes(&[overnight], &[], "2026-11-24T01:00:00Z", 24, end);
    let always = "daily 00:00-24:00 Europe/Berlin";
    closes(&[always], &[], "2026-11-23T09:00:00Z", 24 * 300, None);
    // It is never certain for longer than a year.
    let end = Some("2027-11-24T09:00:00Z");
    closes(&[always], &[], "2026-11-23T09:00:00Z", 24 * 400, end);
    // A blackout begins at midnight of its own zone.
    let days = "2026-11-24..2026-11-25 Europe/Berlin";
    let end = Some("2026-11-23T23:00:00Z");
    closes(&[always], &[days], "2026-11-23T09:00:00Z", 24, end);
    closes(&[], &[days], "2026-11-23T09:00:00Z", 24, end);
    closes(&[], &[days], "2026-11-25T23:00:00Z", 24, None);
    // The clock jumps over the window's last half hour, and shows its first one twice.
    let night = "Sun 01:00-02:30 Europe/Berlin";
    let end = Some("2027-03-28T01:00:00Z");
    closes(&[night], &[], "2027-03-28T00:00:00Z", 5, end);
    let end = Some("2027-10-31T00:30:00Z");
    closes(&[night], &[], "2027-10-30T23:30:00Z", 5, end);
    closes(
        &[night],
        &[],
        "2027-10-31T01:10:00Z",
        5,
        Some("2027-10-31T01:30:00Z"),
    );
}

#[test]
fn all_that_is_closed_is_told() {
    let windows = [
        Window::parse("Mon 09:00-10:00 Europe/Berlin", &find).unwrap(),
        Window::parse("Tue 09:00-10:00 Europe/Berlin", &find).unwrap(),
        Window::parse("Tue 09:00-10:00 Nowhere", &find).unwrap(),
    ];
    let blackouts = [
        Blackout::parse("2026-11-22 UTC", &find).unwrap(),
        Blackout::parse("2026-11-01..2026-11-21 UTC", &find).unwrap(),
        // Nobody can tell what day it is there.
        Blackout::parse("2020-01-01 Nowhere", &find).unwrap(),
    ];
    let calendar = Calendar {
        windows: &windows,
        blackouts: &blackouts,
    };
    let closed = calendar.look(time("2026-11-22T12:00:00Z")).unwrap_err();
    let unknown = "nobody can tell what time it is in Nowhere, because this machine has no time \
                   zones (install tzdata, or write an offset such as +01:00)";
    assert_eq!(
        closed,
        [
            Closed::NoWindow(format!(
                "it is Sun 2026-11-22 13:00 in Europe/Berlin, {unknown}"
            )),
            Closed::Blackout("`2026-11-22 UTC`".to_owned()),
            Closed::Blackout(format!("`2020-01-01 Nowhere`: {unknown}")),
        ]
    );
}

#[test]
fn what_is_no_window_is_told() {
    for (window, expected) in [
        ("", "is no window"),
        ("Mon 09:00-10:00", "is no window"),
        ("Mon 9:00-10:00 UTC", "are no times of a day"),
        ("Mon 09:00-10:60 UTC", "are no times of a day"),
        ("Mon 09:00-24:01 UTC", "are no times of a day"),
        ("Mon 24:00-01:00 UTC", "are no times of a day"),
        ("Mon 09:00-+9:00 UTC", "are no times of a day"),
        ("Mon 09:00-09:00 UTC", "is empty"),
        ("Mom 09:00-10:00 UTC", "are no days"),
        ("Mon- 09:00-10:00 UTC", "are no days"),
        ("Mon 09:00-10:00 Mars", "no zone `Mars`"),
    ] {
        let why = Window::parse(window, &find).unwrap_err();
        assert!(why.contains(expected), "{window}: {why}");
    }
    for (days, expected) in [
        ("2026-12-20..2027-01-06", "are no days"),
        ("2026-12-20 .. 2027-01-06 UTC", "are no days"),
        ("2026-12-32 UTC", "is no day"),
        ("2026-1-1 UTC", "is no day"),
        ("..2026-12-24 UTC", "is no day"),
        ("2026-12-24..2026-12-23 UTC", "ends before it begins"),
        ("2026-12-24 Mars", "no zone `Mars`"),
    ] {
        let why = Blackout::parse(days, &find).unwrap_err();
        assert!(why.contains(expected), "{days}: {why}");
    }
}
