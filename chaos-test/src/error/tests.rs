//! Tests of the errors: their kinds, their causes and their texts.

use super::*;

fn own() -> Error {
    Error::new(Kind::Refused, "may not break `cache`").help("name it in `breaks(..)`")
}

#[test]
fn our_own_error_keeps_its_kind_through_every_way_out_of_a_body() {
    let ways: Vec<Result<(), TestError>> = vec![
        Err(TestError::from(own())),
        Err::<(), Error>(own()).into_result(),
        Err::<(), TestError>(own().into()).into_result(),
        Err::<(), Box<dyn StdError>>(Box::new(own())).into_result(),
        Err::<(), Box<dyn StdError + Send + Sync>>(Box::new(own())).into_result(),
    ];
    for way in ways {
        let error = way.unwrap_err();
        assert!(error.as_chaos().is_some_and(Error::is_refused), "{error}");
    }
}

#[test]
fn foreign_errors_keep_their_causes() {
    let error = TestError::from(std::io::Error::other("disk on fire"));
    assert_eq!(error.to_string(), "disk on fire");
    let error = Err::<(), &str>("plain").into_result().unwrap_err();
    assert_eq!(error.to_string(), "\"plain\"");
}

#[test]
fn the_text_holds_causes_and_help() {
    let error = own().because(std::io::Error::other("limit"));
    assert_eq!(
        error.to_string(),
        "may not break `cache`: limit\n  help: name it in `breaks(..)`"
    );
    let error = own().help("or leave it alone");
    assert!(
        error
            .to_string()
            .ends_with("help: name it in `breaks(..)`\n  help: or leave it alone")
    );
}
