//! A domain's configuration: the text for `xl create`, with a test's changes.

use crate::cfgparse::Parser;
use crate::error::{Error, Kind, Result};
use crate::paths;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// A value in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text in quotes.
    Text(String),
    /// A number, as it was written.
    Number(String),
    /// A list in brackets.
    List(Vec<Self>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) if text.contains('"') => write!(f, "'{text}'"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Number(number) => f.write_str(number),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// The domain to create: a configuration in `xl`'s own form and changes to it.
///
/// `kernel` and `ramdisk` name files of the host, relative to the folder of the configuration, and so does the `target=` of a
/// disk, with its whole path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainConfig {
    entries: Vec<(String, Value)>,
    folder: PathBuf,
}

impl DomainConfig {
    /// A PVH guest with a name, a kernel, 64 MiB, one processor and one vif on dom0's bridge; it is kept after a
    /// crash for inspection (`on_crash="preserve"`).
    #[must_use]
    pub fn pvh(name: &str, kernel: impl AsRef<Path>) -> Self {
        let empty = Self { entries: Vec::new(), folder: PathBuf::new() };
        let config = empty.set("type", Value::Text("pvh".into())).name(name).kernel(kernel).memory_mib(64);
        config.set("vcpus", Value::Number("1".into())).on_crash("preserve").vif(["bridge=xenbr0"])
    }

    /// Reads a configuration file, the repository's `xen.cfg` for instance.
    ///
    /// # Errors
    /// When the file cannot be read or is no configuration.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = String::from_utf8_lossy(&paths::read(path)?).into_owned();
        let folder = path.parent().unwrap_or_else(|| Path::new("")).to_path_buf();
        Self::from_text(&text, folder)
            .map_err(|error| Error::new(Kind::Config, format!("reading {}", path.display())).because(error))
    }

    /// Reads a configuration; file names in it are relative to `folder`.
    ///
    /// # Errors
    /// When the text is no configuration; the message names the line.
    pub fn from_text(text: &str, folder: impl Into<PathBuf>) -> Result<Self> {
        let mut parser = Parser::new(text);
        let mut entries = Vec::new();
        while let Some(entry) = parser.entry()? {
            entries.push(entry);
        }
        Ok(Self { entries, folder: folder.into() })
    }

    /// Sets any key; an earlier value is replaced.
    #[must_use]
    pub fn set(mut self, key: &str, value: Value) -> Self {
        self.entries.retain(|(known, _)| known != key);
        self.entries.push((key.to_owned(), value));
        self
    }

    /// Removes a key.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.entries.retain(|(known, _)| known != key);
        self
    }

    /// Sets the name.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.set("name", Value::Text(name.to_owned()))
    }

    /// Sets the kernel: a file of the host.
    #[must_use]
    pub fn kernel(self, path: impl AsRef<Path>) -> Self {
        self.set("kernel", Value::Text(path.as_ref().to_string_lossy().into_owned()))
    }

    /// Sets the initial ramdisk: a file of the host.
    #[must_use]
    pub fn ramdisk(self, path: impl AsRef<Path>) -> Self {
        self.set("ramdisk", Value::Text(path.as_ref().to_string_lossy().into_owned()))
    }

    /// Sets the command line; `extra` and `root`, which xl would add to it, are removed.
    #[must_use]
    pub fn cmdline(self, line: &str) -> Self {
        self.without("extra").without("root").set("cmdline", Value::Text(line.to_owned()))
    }

    /// Sets the memory.
    #[must_use]
    pub fn memory_mib(self, mib: u32) -> Self {
        self.without("maxmem").set("memory", Value::Number(mib.to_string()))
    }

    /// Sets the vifs, each as xl has it (`bridge=xenbr0,mac=…`); none for an empty list. A vif without an
    /// address gets one from the test bed.
    #[must_use]
    pub fn vif<'a>(self, vifs: impl IntoIterator<Item = &'a str>) -> Self {
        self.set("vif", Value::List(vifs.into_iter().map(|vif| Value::Text(vif.to_owned())).collect()))
    }

    /// Sets what xl does when the guest crashes: `preserve` keeps it for `xl list`.
    #[must_use]
    pub fn on_crash(self, action: &str) -> Self {
        self.set("on_crash", Value::Text(action.to_owned()))
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.entries.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The text of a key; nothing if it is absent or no text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A key's file, found from the configuration's folder.
    #[must_use]
    pub fn file(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(|name| self.folder.join(name))
    }

    /// The vifs.
    pub(crate) fn vifs(&self) -> Vec<String> {
        self.texts("vif")
    }

    /// The disks.
    pub(crate) fn disks(&self) -> Vec<String> {
        self.texts("disk")
    }

    /// The texts in a key's list.
    fn texts(&self, key: &str) -> Vec<String> {
        let Some(Value::List(items)) = self.value(key) else { return Vec::new() };
        let text = |item: &Value| if let Value::Text(text) = item { Some(text.clone()) } else { None };
        items.iter().filter_map(text).collect()
    }

    /// The configuration as `xl` reads it.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.entries {
            let _ = writeln!(text, "{key} = {value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CFG: &str = "# a guest\nname = \"web\"; type='pvh'\nkernel = \"build/web.elf\"\nmemory = 32\n\
                       vif = [ 'bridge=xenbr0', # the lan\n  \"mac=00:16:3e:00:00:01\" ]\nextra = \"ip=dhcp\"\n";

    #[test]
    fn configuration_is_read() {
        let config = DomainConfig::from_text(CFG, "/repo").unwrap();
        assert_eq!(config.text("name"), Some("web"));
        assert_eq!(config.file("kernel"), Some("/repo/build/web.elf".into()));
        assert_eq!(config.value("memory"), Some(&Value::Number("32".into())));
        assert_eq!(config.vifs(), ["bridge=xenbr0", "mac=00:16:3e:00:00:01"]);
    }

    #[test]
    fn changes_replace_what_was_there() {
        let config = DomainConfig::from_text(CFG, "").unwrap();
        let config = config.name("other").memory_mib(16).cmdline("log=\"debug\"").vif([]);
        assert_eq!(
            config.render(),
            "type = \"pvh\"\nkernel = \"build/web.elf\"\nname = \"other\"\nmemory = 16\n\
             cmdline = 'log=\"debug\"'\nvif = []\n"
        );
    }

    #[test]
    fn what_is_rendered_is_read_again() {
        let config = DomainConfig::pvh("a", "b").set("list", Value::List(vec![Value::Number("1".into())]));
        assert_eq!(DomainConfig::from_text(&config.render(), "").unwrap(), config);
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line) in
            [("a = 1\nb", "line 2"), ("a = \"x", "line 1"), ("\n\na = [1", "line 3"), ("a =\n", "line 1")]
        {
            let error = DomainConfig::from_text(text, "").unwrap_err();
            assert!(error.to_string().contains(line), "{text:?}: {error}");
        }
    }
}
