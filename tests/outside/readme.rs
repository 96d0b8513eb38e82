//! The README's code, found by its heading: what a test takes from there cannot differ from what
//! readers see.

const README: &str = include_str!("../../README.md");

/// The first block in this language below this heading.
///
/// # Panics
///
/// If there is none before the next heading of its rank.
pub fn block(heading: &str, language: &str) -> &'static str {
    let (_, section) = README
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("the README has no heading `{heading}`"));
    let rank = heading.split(' ').next().unwrap_or_default();
    let section = section.split(&format!("\n{rank} ")).next();
    let begin = format!("\n```{language}");
    let block = section.and_then(|section| section.split_once(&begin));
    let (_, block) = block.unwrap_or_else(|| panic!("`{heading}` has no block of {language}"));
    let (_, block) = block.split_once('\n').expect("a fence is a line");
    let (block, _) = block.split_once("\n```").expect("a block has an end");
    block
}

/// Which version of the library a manifest's lines ask for.
///
/// # Panics
///
/// If they ask for none.
pub fn version_in(lines: &str) -> &str {
    let (_, version) = lines
        .split_once("chaos-test = { version = \"")
        .unwrap_or_else(|| panic!("they ask for no version of the library:\n{lines}"));
    let (version, _) = version.split_once('"').expect("a version has an end");
    version
}
