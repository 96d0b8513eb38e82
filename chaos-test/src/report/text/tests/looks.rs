//! The same text in colour and without, and where there is only ASCII.

use super::super::Format;
use super::outage::outage;
use super::{explained, explained_as, logs, panicked_and_left_behind};

/// The lines that have colours, with escape sequences as a person can read them. What the others
/// are is seen without colours.
fn in_colour(text: &str) -> String {
    let lines = text.lines().filter(|line| line.contains('\u{1b}'));
    let lines: Vec<_> = lines.map(|line| line.replace('\u{1b}', "^")).collect();
    lines.join("\n")
}

#[test]
fn a_deviation_in_colour_at_80_columns() {
    let format = Format {
        width: 80,
        color: true,
        unicode: true,
    };
    let text = explained_as("survives_a_cache_outage", &outage(), &logs(), format);
    insta::assert_snapshot!(in_colour(&text), @r#"
    ^[1msurvives_a_cache_outage^[0m: ^[31mhypothesis deviated^[0m
      ^[1merror rate of checkout over 5.25 s under "stop cache"^[0m
         ^[2mexpected: ^[0m^[32mat most 0 %^[0m
         ^[2mactual:   ^[0m^[31m24.76 % (26 of 105 failed), the last: 503^[0m
         ^[2mbaseline: ^[0mp50 3.0 ms, p95 4.0 ms, 20 /s, 0 errors (40 samples)
         ^[2mwindow:   ^[0m2.541 s to 7.791 s, 105 samples
         ^[31m.x.x.x.x.x.x.xx.x.x.x.x.x.xx.x.x.x.x.x.x.xx.x.x..  25 errors^[0m
      ^[1mtimeline^[0m                                                 ^[2mrun 17f3, seed 0x5eed^[0m
    ^[33m       2.541  stop cache injected (231 ms)^[0m
    ^[33m       7.791  stop cache lifted after 5.25 s, met 31 times^[0m
    ^[31m       8.204  ! missed: error rate of checkout over 5.25 s under "stop cache":^[0m
    ^[31m                24.76 % (26 of 105 failed)^[0m
    ^[32m       8.204  held: recovery of checkout: 410 ms^[0m
        ^[31m...........xxxxxxxxxxxxxxxxxxxxxxxxxx.............  26 errors^[0m
        ^[33m          ━━━━━━━━━━━━━━━━━━━━━━━━━━━━            ^[0m  stop cache
      ^[1mthe last 2 lines of checkout^[0m (all: target/chaos/17f3/logs/checkout.log)
        ^[2mWARN cache unreachable, retrying in 200 ms^[0m
        ^[2mERROR gave up on the cache after 3 tries^[0m
      ^[1mreport: ^[0mtarget/chaos/junit.xml
      ^[1magain:  ^[0mCHAOS_SEED=0x5eed cargo test --test chaos -- --exact survives_a_cache_outage
    "#);
}

#[test]
fn a_deviation_in_colour_at_200_columns() {
    let format = Format {
        width: 200,
        color: true,
        unicode: true,
    };
    let text = explained_as("survives_a_cache_outage", &outage(), &logs(), format);
    insta::assert_snapshot!(in_colour(&text), @r#"
    ^[1msurvives_a_cache_outage^[0m: ^[31mhypothesis deviated^[0m
      ^[1merror rate of checkout over 5.25 s under "stop cache"^[0m
         ^[2mexpected: ^[0m^[32mat most 0 %^[0m
         ^[2mactual:   ^[0m^[31m24.76 % (26 of 105 failed), the last: 503^[0m
         ^[2mbaseline: ^[0mp50 3.0 ms, p95 4.0 ms, 20 /s, 0 errors (40 samples)
         ^[2mwindow:   ^[0m2.541 s to 7.791 s, 105 samples
         ^[31m..x.x.x..x.x.x.x..x.x.x..x.x.x.x..x.x.x..x.x.x.x..x.x.x..x..  25 errors^[0m
      ^[1mtimeline^[0m                                                                     ^[2mrun 17f3, seed 0x5eed^[0m
           0.290  checkout started (pid 4131, port 40113, 84.0 ms)                                      ^[31m       8.204  ! missed: error rate of checkout over 5.25 s under "stop cache": 24.76 % (26 of 105^[0m
           0.291  fixture shop ready (290 ms)                                                           ^[31m                failed)^[0m
           2.310  baseline of checkout: p95 3.1 ms, 49.9 /s, 0 errors                                   ^[32m       8.204  held: recovery of checkout: 410 ms^[0m
    ^[33m       2.541  stop cache injected (231 ms)                                                          ^[0m      10.400  the test returned
    ^[33m       7.791  stop cache lifted after 5.25 s, met 31 times^[0m
        ^[31m..........................x..x.x..x.x.x..x.x..x.x.x..x.x..x.x.x..x.x..x.x.x..x.x..x.x.x.................................  26 errors^[0m
        ^[33m                        ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━                              ^[0m  stop cache
      ^[1mthe last 2 lines of checkout^[0m (all: target/chaos/17f3/logs/checkout.log)
        ^[2mWARN cache unreachable, retrying in 200 ms^[0m
        ^[2mERROR gave up on the cache after 3 tries^[0m
      ^[1mreport: ^[0mtarget/chaos/junit.xml
      ^[1magain:  ^[0mCHAOS_SEED=0x5eed cargo test --test chaos -- --exact survives_a_cache_outage
    "#);
}

/// Where there is only ASCII there are the same words in the same places, and charts of digits.
#[test]
fn a_deviation_in_ascii() {
    for width in [80, 120, 160, 200] {
        let format = Format {
            width,
            color: false,
            unicode: false,
        };
        let text = explained_as("x", &outage(), &logs(), format);
        assert!(text.is_ascii(), "{text}");
        let ascii = |c: char| match c {
            '\u{2581}'..='\u{2588}' => char::from_digit(u32::from(c) - 0x2580, 10).unwrap(),
            '━' => '=',
            c => c,
        };
        let whole: String = explained("x", &outage(), &logs(), width)
            .chars()
            .map(ascii)
            .collect();
        assert_eq!(text, whole, "at {width}");
    }
}

/// Colours add nothing: without them there are the same words in the same places.
#[test]
fn colours_only_repeat_what_words_say() {
    for width in [80, 120, 160, 200] {
        let format = Format {
            width,
            color: true,
            unicode: true,
        };
        let plain = explained("x", &panicked_and_left_behind(), &logs(), width);
        let colored = explained_as("x", &panicked_and_left_behind(), &logs(), format);
        assert!(colored.contains("\u{1b}["), "{colored}");
        assert_eq!(super::plain(&colored), plain, "at {width}");
    }
}
