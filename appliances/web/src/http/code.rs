//! Status codes, and refusals that say why.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal $reason:literal,)*) => {
        /// The status codes that this server uses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// The number.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self {
                    $(Self::$name => $number,)*
                }
            }

            /// Number and reason, as the status line has them.
            #[must_use]
            pub const fn line(self) -> &'static str {
                match self {
                    $(Self::$name => concat!(stringify!($number), " ", $reason),)*
                }
            }
        }
    };
}

codes! {
    /// Here it is.
    Ok = 200 "OK",
    /// Here is the part that was asked for.
    PartialContent = 206 "Partial Content",
    /// The client has it.
    NotModified = 304 "Not Modified",
    /// The request breaks a rule of the grammar.
    BadRequest = 400 "Bad Request",
    /// Nothing is there.
    NotFound = 404 "Not Found",
    /// It can only be read.
    MethodNotAllowed = 405 "Method Not Allowed",
    /// The request took too long to come.
    RequestTimeout = 408 "Request Timeout",
    /// The request's body is too long.
    ContentTooLarge = 413 "Content Too Large",
    /// The request line is too long.
    UriTooLong = 414 "URI Too Long",
    /// There is no such part.
    RangeNotSatisfiable = 416 "Range Not Satisfiable",
    /// An expectation that nobody here can meet.
    ExpectationFailed = 417 "Expectation Failed",
    /// The head is too long, or has too many lines.
    HeaderFieldsTooLarge = 431 "Request Header Fields Too Large",
    /// A method or a coding that nobody here knows.
    NotImplemented = 501 "Not Implemented",
    /// Not now.
    ServiceUnavailable = 503 "Service Unavailable",
    /// Neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported = 505 "HTTP Version Not Supported",
}

/// A request that is not answered with what it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub code: Code,
    /// What is wrong, for a person to read.
    pub why: &'static str,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub const fn new(code: Code, why: &'static str) -> Self {
        Self { code, why }
    }

    /// 400, the most common one.
    #[must_use]
    pub const fn bad(why: &'static str) -> Self {
        Self::new(Code::BadRequest, why)
    }
}
