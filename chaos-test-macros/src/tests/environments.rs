//! What `environment` says about mistakes.

use super::mistakes::{TEST, check};

#[test]
fn names_of_environments() {
    for arguments in [
        r#"environment = "staging""#,
        r#"environment("development", "my-own_2",)"#,
    ] {
        check(arguments, TEST, &[]);
    }
    let usage = r#"`environment` is written `environment = "staging"` or `environment("development", "staging")`"#;
    for arguments in [
        "environment",
        "environment()",
        "environment = staging",
        "environment(staging)",
        r#"environment("a" "b")"#,
        r#"environment = ["staging"]"#,
    ] {
        check(arguments, TEST, &[usage]);
    }
    let name = "an environment's name is one or more of the letters a to z and A to Z, digits, `-` and `_`";
    check(
        r#"environment("", "a b", "a/b", "a,b", "staging", "staging")"#,
        TEST,
        &[name, name, name, name, "`staging` is listed twice"],
    );
}
