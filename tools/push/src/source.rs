//! What a block is made of. It may have to be read again: what is not acknowledged is sent once more.

use crate::error::Error;
use crate::secret;
use crate::tree::{Rules, Tree};
use datafront::block::wire::MAX_BLOCK_BYTES;
use datafront::block::{Form, Part};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A block to be pushed.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name in the guest. Shared: repeated pushes of one name allocate it once.
    pub name: Arc<str>,
    /// What its bytes are.
    pub form: Form,
    /// All of it, or a part.
    pub part: Part,
    /// How many.
    pub len: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    File(PathBuf),
    Bytes(Arc<[u8]>),
    Tree(Arc<Tree>),
}

impl Source {
    /// A file, as long as it is now.
    ///
    /// # Errors
    /// If it cannot be opened, is no file or has more than 1 GiB.
    pub fn file(name: &str, path: &Path) -> Result<Self, Error> {
        let fail = |error| Error::Source(path.display().to_string(), error);
        // Looked at before it is opened: to open a FIFO waits for its writer.
        let meta = std::fs::metadata(path).map_err(fail)?;
        if !meta.is_file() {
            return Err(fail(io::Error::other("is no file")));
        }
        File::open(path).map_err(fail)?;
        Self::new(name, Form::Bytes, meta.len(), Content::File(path.into())).checked()
    }

    /// Bytes in memory.
    ///
    /// # Errors
    /// If the name or the bytes are too long.
    pub fn bytes(name: impl Into<Arc<str>>, bytes: impl Into<Arc<[u8]>>) -> Result<Self, Error> {
        let bytes = bytes.into();
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self::new(name, Form::Bytes, len, Content::Bytes(bytes)).checked()
    }

    /// A folder and all below it, as one block: the guest switches to it in one step.
    ///
    /// # Errors
    /// If it cannot be listed, has something in it that cannot be published (and the rules do not say to leave it out), or
    /// more than 1 GiB.
    pub fn folder(name: &str, path: &Path, rules: Rules) -> Result<Self, Error> {
        let tree =
            Tree::list(path, rules).map_err(|error| Error::Source(path.display().to_string(), error))?;
        let len = tree.len();
        Self::new(name, Form::Tree, len, Content::Tree(Arc::new(tree))).checked()
    }

    /// Certificates and private keys of a folder, as one block that the guest keeps apart from content.
    ///
    /// # Errors
    /// If the folder cannot be read, or has no such file.
    pub fn secrets(folder: &Path) -> Result<Self, Error> {
        let bytes =
            secret::bundle(folder).map_err(|error| Error::Source(folder.display().to_string(), error))?;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self::new("tls", Form::Secret, len, Content::Bytes(bytes.into())).checked()
    }

    /// The same bytes, as an archive that is to be unpacked.
    #[must_use]
    pub const fn as_tree(mut self) -> Self {
        self.form = Form::Tree;
        self
    }

    /// The same bytes, as a part of something that comes in several blocks of this name.
    #[must_use]
    pub const fn as_part(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    fn new(name: impl Into<Arc<str>>, form: Form, len: u64, content: Content) -> Self {
        Self { name: name.into(), form, part: Part::Whole, len, content }
    }

    fn checked(self) -> Result<Self, Error> {
        let fail = |what: &str| Err(Error::Source(self.name.to_string(), io::Error::other(what)));
        if self.len > MAX_BLOCK_BYTES {
            return fail("more than 1 GiB");
        }
        if self.name.len() > datafront::block::wire::MAX_NAME_BYTES {
            return fail("the name has more than 255 bytes");
        }
        Ok(self)
    }

    /// The folder that it is made of, if it is.
    #[must_use]
    pub fn tree(&self) -> Option<&Tree> {
        match &self.content {
            Content::Tree(tree) => Some(tree),
            Content::File(_) | Content::Bytes(_) => None,
        }
    }

    /// Its bytes, if they lie in memory.
    #[must_use]
    pub(crate) const fn in_memory(&self) -> Option<&Arc<[u8]>> {
        match &self.content {
            Content::Bytes(bytes) => Some(bytes),
            Content::File(_) | Content::Tree(_) => None,
        }
    }

    /// Opens it, from the first byte on.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.content {
            Content::File(path) => Box::new(File::open(path).map_err(|error| at(path, &error))?),
            Content::Bytes(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
            Content::Tree(tree) => Box::new(tree.read()),
        })
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
