#!/bin/sh
# A wrapper of rustc for the cases in `ui/`: only with `--test` does the compiler keep what is
# marked `#[test]`, and so look at what the macros make of a test.
case "$*" in
    *"--crate-name trybuild"*) exec "$@" --test ;;
    *) exec "$@" ;;
esac
