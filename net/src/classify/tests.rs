//! Frames by hand, each with one thing wrong.
