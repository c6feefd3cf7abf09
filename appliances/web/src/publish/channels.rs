//! `app.push=NAME,NAME`: the channels on which dom0 may push, each with a sender of its own.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Channels at most: each has rings and a buffer of its own.
const MOST: usize = 8;
/// Characters of a name: the path that it ends is read by libxenvchan, which takes 49.
const LONGEST: usize = 16;

/// The names of the channels; without the key there is one, `push`.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn channels(value: Option<&str>) -> Result<Vec<&str>, String> {
    let value = value.unwrap_or("push");
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let mut names = Vec::new();
    for name in value.split(',') {
        let is_name = (1..=LONGEST).contains(&name.len()) && name.bytes().all(legal);
        if !is_name || names.contains(&name) || names.len() >= MOST {
            return Err(format!(
                "command line: app.push={value} is wrong: 1 to {MOST} different names, separated by commas, each of 1 to \
                 {LONGEST} letters, digits, - and _, like app.push=site,logs"
            ));
        }
        names.push(name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::channels;

    #[test]
    fn names_are_few_short_and_different() {
        assert_eq!(channels(None).unwrap(), ["push"]);
        assert_eq!(channels(Some("site,log_1,a-b")).unwrap(), ["site", "log_1", "a-b"]);
        assert_eq!(channels(Some("1,2,3,4,5,6,7,8")).unwrap().len(), 8);
        for bad in ["", "a,", "a,a", "a/b", "a b", "seventeen-letters", "1,2,3,4,5,6,7,8,9"] {
            assert!(channels(Some(bad)).unwrap_err().contains("like app.push=site,logs"), "{bad:?}");
        }
    }
}
