//! Packet scripts in virtual time: one or more for each rule of the RFCs that the engine follows, by section.

#![allow(unreachable_pub, reason = "modules of one test program")]

mod closing;
mod loss;
mod opening;
mod receiving;
mod script;
mod sending;
mod states;

use script::run_all;

#[test]
fn opening_a_connection() {
    run_all(opening::SCRIPTS);
}

#[test]
fn every_state_answers_every_segment() {
    states::run();
}

#[test]
fn receiving() {
    run_all(receiving::SCRIPTS);
}

#[test]
fn sending() {
    run_all(sending::SCRIPTS);
}

#[test]
fn loss() {
    run_all(loss::SCRIPTS);
}

#[test]
fn closing() {
    run_all(closing::SCRIPTS);
}
