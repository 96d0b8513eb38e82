//! What text for people may look like where they read it: its width, its colours, its characters.
//! Decided from variables and from what is known of the terminal, and nothing else.

/// Looks a variable up.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The width where nobody knows one.
const USUAL: usize = 100;

/// How many columns there are: `COLUMNS`, else those of the terminal, else 100.
#[must_use]
pub fn width(variables: Variables<'_>, terminal: Option<usize>) -> usize {
    let set = variables("COLUMNS").and_then(|columns| columns.trim().parse().ok());
    let width = set.filter(|columns| *columns > 0).or(terminal);
    width.unwrap_or(USUAL).clamp(40, 240)
}

/// Whether there are colours: as `NO_COLOR`, `CLICOLOR_FORCE` and `CLICOLOR` say, in this order;
/// else on a terminal that has them, outside CI.
#[must_use]
pub fn color(variables: Variables<'_>, is_terminal: bool) -> bool {
    let says_yes = |name| variables(name).is_some_and(|text| !text.is_empty() && text != "0");
    if variables("NO_COLOR").is_some_and(|text| !text.is_empty()) {
        return false;
    }
    if says_yes("CLICOLOR_FORCE") {
        return true;
    }
    if variables("CLICOLOR").is_some_and(|text| text == "0") {
        return false;
    }
    is_terminal && obeys(variables)
}

/// Whether a line may be written over again: on a terminal that can, outside CI.
#[must_use]
pub fn moves_cursor(variables: Variables<'_>, is_terminal: bool) -> bool {
    is_terminal && obeys(variables)
}

/// Whether whatever is behind the terminal does what escape sequences say. The log of a CI
/// system looks like a terminal at times, and keeps them as text.
fn obeys(variables: Variables<'_>) -> bool {
    let says_yes =
        |name| variables(name).is_some_and(|text| !matches!(text.as_str(), "" | "0" | "false"));
    let has_name = variables("TERM").is_some_and(|name| !name.is_empty() && name != "dumb");
    has_name && !says_yes("CI") && !says_yes("GITHUB_ACTIONS")
}

/// Whether there is more than ASCII, as the locale says: the first of `LC_ALL`, `LC_CTYPE` and
/// `LANG` that is set.
#[must_use]
pub fn unicode(variables: Variables<'_>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| variables(name).filter(|text| !text.is_empty()));
    let Some(locale) = locale else { return false };
    // `de_DE.UTF-8@euro`, `C.utf8`
    let set = locale.split('@').next().unwrap_or_default();
    let set = set.rsplit('.').next().unwrap_or_default();
    let set = set.replace(['-', '_'], "");
    set.eq_ignore_ascii_case("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variables from `A=1 B=2`.
    fn with<T>(text: &str, ask: impl Fn(Variables<'_>) -> T) -> T {
        ask(&|wanted| {
            text.split_whitespace().find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                (name == wanted).then(|| value.to_owned())
            })
        })
    }

    #[test]
    fn columns_come_from_the_variable_then_the_terminal() {
        for (text, terminal, expected) in [
            ("", None, 100),
            ("", Some(132), 132),
            ("COLUMNS=80", Some(132), 80),
            ("COLUMNS=wide", Some(132), 132),
            ("COLUMNS=0", None, 100),
            ("COLUMNS=", Some(90), 90),
            ("COLUMNS=7", None, 40),
            ("", Some(1000), 240),
        ] {
            let seen = with(text, |variables| width(variables, terminal));
            assert_eq!(seen, expected, "{text} {terminal:?}");
        }
    }

    #[test]
    fn colours_are_for_terminals_unless_somebody_says_otherwise() {
        for (text, on_a_terminal, in_a_file) in [
            ("TERM=xterm", true, false),
            ("", false, false),
            ("TERM=dumb", false, false),
            ("TERM=xterm NO_COLOR=1", false, false),
            ("TERM=xterm NO_COLOR=", true, false),
            ("TERM=xterm NO_COLOR=1 CLICOLOR_FORCE=1", false, false),
            ("TERM=xterm CLICOLOR=0", false, false),
            ("CLICOLOR_FORCE=1", true, true),
            ("CLICOLOR_FORCE=1 CI=true", true, true),
            ("TERM=xterm CLICOLOR_FORCE=0", true, false),
            ("TERM=xterm CI=true", false, false),
            ("TERM=xterm CI=false", true, false),
            ("TERM=xterm GITHUB_ACTIONS=true", false, false),
        ] {
            let seen = |is_terminal| with(text, |variables| color(variables, is_terminal));
            assert_eq!(
                (seen(true), seen(false)),
                (on_a_terminal, in_a_file),
                "{text}"
            );
        }
    }

    #[test]
    fn forcing_colours_makes_no_terminal() {
        for (text, expected) in [
            ("TERM=xterm", true),
            ("TERM=xterm NO_COLOR=1", true),
            ("TERM=dumb CLICOLOR_FORCE=1", false),
            ("TERM=xterm CI=1 CLICOLOR_FORCE=1", false),
        ] {
            let seen = |is_terminal| with(text, |variables| moves_cursor(variables, is_terminal));
            assert_eq!((seen(true), seen(false)), (expected, false), "{text}");
        }
    }

    #[test]
    fn the_locale_tells_of_characters() {
        for (text, expected) in [
            ("", false),
            ("LANG=C.UTF-8", true),
            ("LANG=de_DE.utf8@euro", true),
            ("LANG=C", false),
            ("LANG=C.UTF-8 LC_ALL=POSIX", false),
            ("LANG=C LC_CTYPE=en_GB.UTF-8", true),
            ("LC_ALL= LANG=C.UTF-8", true),
            ("LANG=de_DE.ISO-8859-1", false),
        ] {
            assert_eq!(
                with(text, |variables| unicode(variables)),
                expected,
                "{text}"
            );
        }
    }
}
