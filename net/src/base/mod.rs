//! Plain types for all groups above: configuration, errors, counters, status, time, random numbers.

pub(crate) mod bucket;
pub(crate) mod budget;
pub(crate) mod chunk;
pub(crate) mod config;
pub(crate) mod copy;
pub(crate) mod counters;
pub(crate) mod error;
pub(crate) mod observer;
pub(crate) mod options;
pub(crate) mod rng;
pub(crate) mod status;
pub(crate) mod time;
