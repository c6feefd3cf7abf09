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
    /// The resource follows.
    Ok = 200 "OK",
    /// There is nothing to send.
    NoContent = 204 "No Content",
    /// The requested range follows.
    PartialContent = 206 "Partial Content",
    /// The resource has another URL for good.
    MovedPermanently = 301 "Moved Permanently",
    /// The resource has another URL at present.
    Found = 302 "Found",
    /// Another resource answers the request.
    SeeOther = 303 "See Other",
    /// The client has the present version.
    NotModified = 304 "Not Modified",
    /// As 302; the method stays.
    TemporaryRedirect = 307 "Temporary Redirect",
    /// As 301; the method stays.
    PermanentRedirect = 308 "Permanent Redirect",
    /// The request breaks a rule of the grammar.
    BadRequest = 400 "Bad Request",
    /// There is no such resource.
    NotFound = 404 "Not Found",
    /// The resource can only be read.
    MethodNotAllowed = 405 "Method Not Allowed",
    /// The request did not arrive in time.
    RequestTimeout = 408 "Request Timeout",
    /// A condition of the request is false.
    PreconditionFailed = 412 "Precondition Failed",
    /// The request's body is too long.
    ContentTooLarge = 413 "Content Too Large",
    /// The request line is too long.
    UriTooLong = 414 "URI Too Long",
    /// The resource does not have the requested range.
    RangeNotSatisfiable = 416 "Range Not Satisfiable",
    /// An expectation other than `100-continue`.
    ExpectationFailed = 417 "Expectation Failed",
    /// The head is too long, or has too many lines.
    HeaderFieldsTooLarge = 431 "Request Header Fields Too Large",
    /// An unknown method or transfer coding.
    NotImplemented = 501 "Not Implemented",
    /// The server cannot answer at present.
    ServiceUnavailable = 503 "Service Unavailable",
    /// Neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported = 505 "HTTP Version Not Supported",
}

/// The refusal of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub code: Code,
    /// The cause, for a person.
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
