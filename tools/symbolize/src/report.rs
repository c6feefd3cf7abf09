//! Parser of the crash reports in a console log.

/// A report: the reason, and the place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Kind and reason.
    pub(crate) title: String,
    /// The build id, in hexadecimal digits.
    pub(crate) build: String,
    /// The address of the fault, if there was one, then the return addresses, the innermost first.
    pub(crate) addresses: Vec<Address>,
}

/// An address in the code of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// The address of an instruction.
    At(u64),
    /// A return address: the instruction before it is the call.
    Return(u64),
}

impl Address {
    /// The address in the report.
    pub(crate) const fn shown(self) -> u64 {
        match self {
            Self::At(address) | Self::Return(address) => address,
        }
    }

    /// An address inside of the instruction, in the image file.
    ///
    /// Each start displaces the image by another multiple of 4 MiB, and all addresses in the file are below 4 MiB
    /// (`linker.ld`), so that the low 22 bits are the same.
    pub(crate) const fn inside(self) -> u64 {
        const IN_FILE: u64 = (4 << 20) - 1;
        match self {
            Self::At(address) => address & IN_FILE,
            Self::Return(address) => address.saturating_sub(1) & IN_FILE,
        }
    }
}

impl Report {
    /// The reports of a log that have a build id.
    pub(crate) fn all(log: &str) -> Vec<Self> {
        let mut parts = log.split("=== millpond ");
        // The text before the first marker is no report.
        parts.next();
        parts.filter_map(Self::one).collect()
    }

    fn one(text: &str) -> Option<Self> {
        let text = text.split("=== end of report ===").next()?;
        let kind = text.split(" ===").next()?.trim();
        let line = |begin: &str| text.lines().find_map(|line| line.trim().strip_prefix(begin)).map(str::trim);
        let build = line("build:")?.to_owned();
        let title = format!("{kind}: {}", line("reason:").unwrap_or("no reason"));
        let mut addresses = Vec::new();
        if let Some(rip) = text.split_whitespace().skip_while(|word| *word != "rip:").nth(1) {
            addresses.extend(hex(rip).map(Address::At));
        }
        let trace = line("backtrace:").unwrap_or_default();
        addresses.extend(trace.split_whitespace().filter_map(hex).map(Address::Return));
        Some(Self { title, build, addresses })
    }
}

fn hex(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{Address, Report};

    #[test]
    fn reports_are_found_among_other_lines() {
        let log = "[ 0.1] INFO  kernel: hello\r\n\r\n=== millpond exception ===\r\nreason: page fault (vector 14)\r\n\
                   address: 0x8 rip: 0x101234 rsp: 0x0 rflags: 0x2\r\nbacktrace: 0x105555 0x106666\r\n\
                   build: abcd\r\nlog:\r\n  x\r\n=== end of report ===\r\n\
                   === millpond panic ===\nreason: boom\nbacktrace: 0x107777\nbuild: ef01\n";
        let reports = Report::all(log);
        assert_eq!(reports.len(), 2);
        assert_eq!(reports[0].title, "exception: page fault (vector 14)");
        assert_eq!(reports[0].build, "abcd");
        let trace = [Address::At(0x10_1234), Address::Return(0x10_5555), Address::Return(0x10_6666)];
        assert_eq!(reports[0].addresses, trace);
        assert_eq!((reports[1].build.as_str(), reports[1].addresses.len()), ("ef01", 1));
    }

    #[test]
    fn a_displaced_address_is_found_in_the_file() {
        for moved in [0, 0xffff_8040_0000_0000, 0xffff_d2f5_7740_0000] {
            assert_eq!(Address::At(moved + 0x10_1234).inside(), 0x10_1234);
            assert_eq!(Address::Return(moved + 0x1f_5555).inside(), 0x1f_5554);
        }
    }

    #[test]
    fn logs_without_a_report_have_none() {
        assert_eq!(Report::all(""), []);
        assert_eq!(Report::all("=== millpond panic ===\nno build here"), []);
    }
}
