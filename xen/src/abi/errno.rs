//! Error numbers of hypercalls. Header `errno.h`, Xen 4.17.
//!
//! A hypercall answers a number of at least zero, or a negated errno. [`Errno::from_ret`] tells them apart.
//! The numbers are those of x86 Linux, on every guest. A number that the header does not define is kept: a
//! newer Xen may send it.

use core::fmt;

/// Why Xen refused: a positive error number.
///
/// Source: `xen/include/public/errno.h`, `enum xen_errno`, Xen 4.17.
#[doc(alias = "xen_errno")]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Errno(u32);

impl Errno {
    /// The error with this number, which need not be one that the header defines.
    #[must_use]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The positive number.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Reads the result of a hypercall: a value, or a negated error number.
    ///
    /// # Errors
    /// The error number, if `ret` is negative; `u32::MAX` stands for what does not fit.
    pub fn from_ret(ret: i64) -> Result<u64, Self> {
        u64::try_from(ret).map_err(|_| Self(u32::try_from(ret.unsigned_abs()).unwrap_or(u32::MAX)))
    }

    /// The name in the header without its prefix, as xenstore sends it too; `None` for an undefined number.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.entry().map(|&(_, c_name, _)| c_name.strip_prefix("XEN_").unwrap_or(c_name))
    }

    fn entry(self) -> Option<&'static (Self, &'static str, &'static str)> {
        Self::C_NAMES.iter().find(|(errno, ..)| *errno == self)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.entry()) {
            (Some(name), Some((_, _, meaning))) => write!(f, "{name} ({meaning})"),
            _ => write!(f, "error {}", self.0),
        }
    }
}

impl core::error::Error for Errno {}

/// Defines the constants and the table of their names and meanings from one line each.
macro_rules! errnos {
    ($($name:ident = $value:literal => $c_name:literal, $meaning:literal;)+) => {
        impl Errno {
            $(
                #[doc = concat!($meaning, ".")]
                #[doc(alias = $c_name)]
                pub const $name: Self = Self($value);
            )+

            /// Every defined error with its name in Xen's header and its meaning.
            pub const C_NAMES: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$name, $c_name, $meaning)),+];
        }
    };
}

errnos! {
    EPERM = 1 => "XEN_EPERM", "Operation not permitted";
    ENOENT = 2 => "XEN_ENOENT", "No such file or directory";
    ESRCH = 3 => "XEN_ESRCH", "No such process";
    EIO = 5 => "XEN_EIO", "I/O error";
    ENXIO = 6 => "XEN_ENXIO", "No such device or address";
    E2BIG = 7 => "XEN_E2BIG", "Argument list too long";
    ENOEXEC = 8 => "XEN_ENOEXEC", "Exec format error";
    EBADF = 9 => "XEN_EBADF", "Bad file number";
    ECHILD = 10 => "XEN_ECHILD", "No child processes";
    EAGAIN = 11 => "XEN_EAGAIN", "Try again";
    ENOMEM = 12 => "XEN_ENOMEM", "Out of memory";
    EACCES = 13 => "XEN_EACCES", "Permission denied";
    EFAULT = 14 => "XEN_EFAULT", "Bad address";
    EBUSY = 16 => "XEN_EBUSY", "Device or resource busy";
    EEXIST = 17 => "XEN_EEXIST", "File exists";
    EXDEV = 18 => "XEN_EXDEV", "Cross-device link";
    ENODEV = 19 => "XEN_ENODEV", "No such device";
    ENOTDIR = 20 => "XEN_ENOTDIR", "Not a directory";
    EISDIR = 21 => "XEN_EISDIR", "Is a directory";
    EINVAL = 22 => "XEN_EINVAL", "Invalid argument";
    ENFILE = 23 => "XEN_ENFILE", "File table overflow";
    EMFILE = 24 => "XEN_EMFILE", "Too many open files";
    ENOSPC = 28 => "XEN_ENOSPC", "No space left on device";
    EROFS = 30 => "XEN_EROFS", "Read-only file system";
    EMLINK = 31 => "XEN_EMLINK", "Too many links";
    EDOM = 33 => "XEN_EDOM", "Argument out of domain of function";
    ERANGE = 34 => "XEN_ERANGE", "Result not representable";
    EDEADLK = 35 => "XEN_EDEADLK", "Resource deadlock would occur";
    ENAMETOOLONG = 36 => "XEN_ENAMETOOLONG", "File name too long";
    ENOLCK = 37 => "XEN_ENOLCK", "No record locks available";
    ENOSYS = 38 => "XEN_ENOSYS", "Function not implemented";
    ENOTEMPTY = 39 => "XEN_ENOTEMPTY", "Directory not empty";
    ENODATA = 61 => "XEN_ENODATA", "No data available";
    ETIME = 62 => "XEN_ETIME", "Timer expired";
    EBADMSG = 74 => "XEN_EBADMSG", "Not a data message";
    EOVERFLOW = 75 => "XEN_EOVERFLOW", "Value too large for defined data type";
    EILSEQ = 84 => "XEN_EILSEQ", "Illegal byte sequence";
    ENOTSOCK = 88 => "XEN_ENOTSOCK", "Socket operation on non-socket";
    EMSGSIZE = 90 => "XEN_EMSGSIZE", "Message too large";
    EOPNOTSUPP = 95 => "XEN_EOPNOTSUPP", "Operation not supported";
    EADDRINUSE = 98 => "XEN_EADDRINUSE", "Address already in use";
    EADDRNOTAVAIL = 99 => "XEN_EADDRNOTAVAIL", "Cannot assign requested address";
    ENOBUFS = 105 => "XEN_ENOBUFS", "No buffer space available";
    EISCONN = 106 => "XEN_EISCONN", "Transport endpoint is already connected";
    ENOTCONN = 107 => "XEN_ENOTCONN", "Transport endpoint is not connected";
    ETIMEDOUT = 110 => "XEN_ETIMEDOUT", "Connection timed out";
    ECONNREFUSED = 111 => "XEN_ECONNREFUSED", "Connection refused";
}

impl Errno {
    /// Another name of [`Self::EAGAIN`].
    #[doc(alias = "XEN_EWOULDBLOCK")]
    pub const EWOULDBLOCK: Self = Self::EAGAIN;
    /// Another name of [`Self::EDEADLK`].
    #[doc(alias = "XEN_EDEADLOCK")]
    pub const EDEADLOCK: Self = Self::EDEADLK;
}

#[cfg(test)]
mod tests {
    use super::Errno;
    use alloc::{format, string::ToString};

    #[test]
    fn a_result_of_at_least_zero_is_a_value() {
        assert_eq!(Errno::from_ret(0), Ok(0));
        assert_eq!(Errno::from_ret(i64::MAX), Ok(u64::MAX >> 1));
    }

    #[test]
    fn a_negative_result_is_an_error() {
        assert_eq!(Errno::from_ret(-22), Err(Errno::EINVAL));
        assert_eq!(Errno::from_ret(-4095), Err(Errno::from_raw(4095)));
        assert_eq!(Errno::from_ret(i64::MIN), Err(Errno::from_raw(u32::MAX)));
    }

    #[test]
    fn errors_print_their_name_and_meaning() {
        assert_eq!(Errno::EAGAIN.to_string(), "EAGAIN (Try again)");
        assert_eq!(format!("{:?}", Errno::E2BIG), "E2BIG");
        assert_eq!(Errno::from_raw(4).to_string(), "error 4");
        assert_eq!(format!("{:?}", Errno::from_raw(4)), "Errno(4)");
    }
}
