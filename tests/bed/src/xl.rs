//! Reads what `xl list -v` prints.

use std::fmt;

/// What a domain does, by the letters of `xl list`'s state column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainState {
    /// On a processor (`r`).
    Running,
    /// Waiting for an event or for a processor (`b`, or no letter at all).
    Blocked,
    /// Paused by the toolstack (`p`).
    Paused,
    /// It has shut down and is still there (`s`): `on_poweroff="preserve"`.
    Shutdown,
    /// It has crashed and is still there (`c`): `on_crash="preserve"`.
    Crashed,
    /// Ending; its memory is still in use (`d`).
    Dying,
    /// Not in the list: it has ended.
    Gone,
}

/// A domain as `xl list -v` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainStatus {
    /// Its name.
    pub name: String,
    /// Its number.
    pub domid: u32,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Its state.
    pub state: DomainState,
    /// The processor time it has used, in seconds.
    pub seconds: f64,
    /// The shutdown reason that it gave: 0 poweroff, 1 reboot, 2 suspend, 3 crash; nothing while it runs.
    pub reason: Option<u32>,
}

impl fmt::Display for DomainState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Paused => "paused",
            Self::Shutdown => "shut down",
            Self::Crashed => "crashed",
            Self::Dying => "dying",
            Self::Gone => "gone",
        })
    }
}

impl fmt::Display for DomainStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state)?;
        match self.reason {
            Some(0) => f.write_str(" (poweroff)"),
            Some(1) => f.write_str(" (reboot)"),
            Some(2) => f.write_str(" (suspend)"),
            Some(3) => f.write_str(" (crash)"),
            Some(reason) => write!(f, " (shutdown reason {reason})"),
            None => Ok(()),
        }
    }
}

/// Reads the whole list. A domain without a name, as one that is dying, is listed as `(null)`.
pub(crate) fn parse_list(text: &str) -> Vec<DomainStatus> {
    text.lines().filter_map(parse_line).collect()
}

/// `Name ID Mem VCPUs State Time UUID Reason-Code …`, where only the name may have blanks in it.
fn parse_line(line: &str) -> Option<DomainStatus> {
    let mut fields: Vec<&str> = line.split_whitespace().collect();
    let state_at = fields.iter().position(|field| is_state(field))?;
    let rest = fields.split_off(state_at);
    let [name @ .., domid, memory, _vcpus] = fields.as_slice() else { return None };
    let [letters, seconds, after @ ..] = rest.as_slice() else { return None };
    Some(DomainStatus {
        name: name.join(" "),
        domid: domid.parse().ok()?,
        memory_mib: memory.parse().ok()?,
        state: state(letters),
        seconds: seconds.parse().ok()?,
        reason: after.get(1).and_then(|reason| reason.parse().ok()),
    })
}

/// Six columns with their letters; the fifth is the reason of a shutdown: reboot, suspend, crash,
/// watchdog, soft reset.
fn is_state(field: &str) -> bool {
    const LETTERS: [&str; 6] = ["r", "b", "p", "s", "rscwS", "d"];
    field.len() == 6 && field.chars().zip(LETTERS).all(|(letter, own)| letter == '-' || own.contains(letter))
}

/// The worst of the columns that are set.
fn state(columns: &str) -> DomainState {
    let column = |index: usize| columns.chars().nth(index).filter(|letter| *letter != '-');
    match (column(5), column(4), column(3), column(2), column(0)) {
        (Some(_), ..) => DomainState::Dying,
        (_, Some('c' | 'w'), ..) => DomainState::Crashed,
        (_, _, Some(_), ..) => DomainState::Shutdown,
        (.., Some(_), _) => DomainState::Paused,
        (.., Some(_)) => DomainState::Running,
        _ => DomainState::Blocked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label  NODE Affinity
Domain-0                                     0   512     1     r-----       3.4 00000000-0000-0000-0000-000000000000        -                -     all
web                                          1    31     1     -b----       0.1 8a1d2a2e-32f3-4f6c-8f3c-f5d3ed3dd3a1        -                -     all
broken                                       2    31     1     ---sc-       0.2 8a1d2a2e-32f3-4f6c-8f3c-f5d3ed3dd3a2        3                -     all
(null)                                       3     0     1     --ps-d       1.0 8a1d2a2e-32f3-4f6c-8f3c-f5d3ed3dd3a3        0                -     all
two words                                    4    31     1     ------       0.2 8a1d2a2e-32f3-4f6c-8f3c-f5d3ed3dd3a4        -                -     all
again                                        5    31     1     ---sr-       0.2 8a1d2a2e-32f3-4f6c-8f3c-f5d3ed3dd3a5        1                -     all
";

    #[test]
    fn list_is_read_with_states_and_reasons() {
        let list = parse_list(LIST);
        let brief: Vec<_> = list.iter().map(|d| (d.name.as_str(), d.domid, d.state, d.reason)).collect();
        assert_eq!(
            brief,
            [
                ("Domain-0", 0, DomainState::Running, None),
                ("web", 1, DomainState::Blocked, None),
                ("broken", 2, DomainState::Crashed, Some(3)),
                ("(null)", 3, DomainState::Dying, Some(0)),
                ("two words", 4, DomainState::Blocked, None),
                ("again", 5, DomainState::Shutdown, Some(1)),
            ]
        );
    }

    #[test]
    fn status_reads_well() {
        let list = parse_list(LIST);
        assert_eq!(list[2].to_string(), "crashed (crash)");
        assert_eq!(list[1].to_string(), "blocked");
    }
}
