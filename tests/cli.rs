//! The program from outside: everything here goes through the public API or the binary, against worlds that the tests build themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

mod cli {
    mod bills;
    mod build;
    mod bundle;
    mod cache;
    mod certificates;
    mod completions;
    mod config;
    mod face;
    mod folders;
    mod inspect;
    mod limits;
    mod lock;
    mod mistakes;
    mod pins;
    mod read_only;
    mod repositories;
    mod resolve;
    mod rpm_repositories;
    mod schema;
    mod seed_page;
    mod transfer;
    mod untrusted;
    mod validate;
    mod verify;
    mod why;
}
