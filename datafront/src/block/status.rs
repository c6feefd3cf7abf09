//! The status of a block in its acknowledgement.

use core::fmt;

/// The status of a completed block: 0 is acceptance, 1 to 2^31 − 1 are the application's, the rest the receiver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

impl Status {
    /// The application has taken the block.
    pub const ACCEPTED: Self = Self(0);
    /// The block has more bytes than the application takes.
    pub const TOO_LARGE: Self = Self(1);
    /// The application cannot use this name.
    pub const BAD_NAME: Self = Self(2);
    /// The application cannot use these bytes.
    pub const BAD_CONTENT: Self = Self(3);
    /// The application does not support the form.
    pub const BAD_FORM: Self = Self(4);
    /// The parts before this one are lost: the guest was restarted in between.
    pub const NO_BEGINNING: Self = Self(5);
    /// The application has no room for the block now; it might have it later, or without its old content.
    pub const NO_ROOM: Self = Self(6);
    /// The content has a part of a kind that the application cannot use, such as a link in an archive.
    pub const UNSUPPORTED: Self = Self(7);
    /// A secret for which the application has no use.
    pub const NO_SECRETS: Self = Self(16);
    /// A file of a secret is neither a certificate nor a private key in PEM, or cannot be parsed.
    pub const NOT_PEM: Self = Self(17);
    /// A private key is of another algorithm than P-256 and Ed25519, or encrypted.
    pub const UNUSABLE_KEY: Self = Self(18);
    /// A certificate without its private key, or a key without its certificate.
    pub const NO_PAIR: Self = Self(19);
    /// A certificate has expired.
    pub const EXPIRED: Self = Self(20);
    /// A certificate is not valid yet.
    pub const NOT_YET_VALID: Self = Self(21);
    /// A chain of certificates does not begin with its leaf, or is out of order.
    pub const CHAIN_ORDER: Self = Self(22);
    /// The sender gave up before the block's end; the application did not get it.
    pub const ABORTED: Self = Self(0x8000_0001);
    /// Completed so long ago that its status is not kept.
    pub const FORGOTTEN: Self = Self(0x8000_0002);

    /// Whether the application has taken the block.
    #[must_use]
    pub const fn is_accepted(self) -> bool {
        self.0 == Self::ACCEPTED.0
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ACCEPTED => f.write_str("accepted"),
            Self::TOO_LARGE => f.write_str("too large for the application"),
            Self::BAD_NAME => f.write_str("a name that the application cannot use"),
            Self::BAD_CONTENT => f.write_str("content that the application cannot use"),
            Self::BAD_FORM => f.write_str("a form that the application does not know"),
            Self::NO_BEGINNING => {
                f.write_str("a part whose beginning the application does not have any more")
            }
            Self::NO_ROOM => f.write_str(
                "no room beside the content that the guest has (web: app.replace=first on its command line removes the old first)",
            ),
            Self::UNSUPPORTED => f.write_str("an entry of a kind that cannot be published; the guest's console names it"),
            Self::NO_SECRETS => f.write_str("the application takes no secrets; app.tls=on on its command line changes that"),
            Self::NOT_PEM => f.write_str("neither a certificate nor a private key in PEM; the guest's console names the file"),
            Self::UNUSABLE_KEY => f.write_str(
                "a private key that is encrypted, or neither P-256 nor Ed25519; the guest's console names the file",
            ),
            Self::NO_PAIR => f.write_str("a certificate without its key, or the reverse; the guest's console names the file"),
            Self::EXPIRED => f.write_str("a certificate has expired; the guest's console names the file"),
            Self::NOT_YET_VALID => f.write_str("a certificate is not valid yet; the guest's console names the file"),
            Self::CHAIN_ORDER => f.write_str("a chain that is not in order, its leaf first; the guest's console names the file"),
            Self::ABORTED => f.write_str("aborted by the sender"),
            Self::FORGOTTEN => f.write_str("completed earlier"),
            Self(other) => write!(f, "status {other} of the application"),
        }
    }
}
