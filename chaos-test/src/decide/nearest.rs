//! Which known name a misspelt one was probably meant to be.

/// What to say after an unknown name: the nearest known one, else all of them.
#[cfg(feature = "environments")]
pub fn suggestion<T: AsRef<str>>(name: &str, known: &[T]) -> String {
    match nearest(name, known.iter().map(AsRef::as_ref)) {
        Some(candidate) => format!(", did you mean `{candidate}`?"),
        None => format!(": use {}", listed(known)),
    }
}

/// The known name that one was probably meant to be.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates = known.into_iter();
    let candidates = candidates.map(|candidate| (distance(name, candidate), candidate));
    let near = candidates
        .filter(|(distance, candidate)| *distance <= name.len().max(candidate.len()).max(3) / 3);
    near.min().map(|(_, candidate)| candidate)
}

/// Names as a list for a message.
#[cfg(feature = "environments")]
pub fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The Levenshtein distance between two words.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in right.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_is_near_is_offered() {
        let known = ["network", "slow", "net"];
        assert_eq!(nearest("netwrk", known), Some("network"));
        assert_eq!(nearest("slowe", known), Some("slow"));
        assert_eq!(nearest("zebra", known), None);
        assert_eq!(nearest("a", []), None);
    }

    #[cfg(feature = "environments")]
    #[test]
    fn the_nearest_name_is_offered_else_all() {
        let known = ["staging", "production"];
        assert_eq!(suggestion("stagin", &known), ", did you mean `staging`?");
        assert_eq!(suggestion("x", &known), ": use `staging` or `production`");
    }
}
