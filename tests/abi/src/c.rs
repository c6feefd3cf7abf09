//! The C side: a program that prints the value of every expression of the table.

use crate::Table;
use core::fmt::Write as _;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What to do when there is no compiler or there are no headers.
const INSTALL: &str = "install both with: apt-get install libxen-dev gcc";

/// Headers that the table speaks of. The interface version makes the headers define today's names, not those of
/// Xen 3; `xs_wire.h` defines its table of errors only after the system's `errno.h`; `libxenvchan.h` brings the header
/// of its page, which has no guard.
const PROLOGUE: &str = "\
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/elfnote.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <libxenvchan.h>
#include <xen/io/netif.h>
#include <xen/io/ring.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

/* A bit field has no offset: what it is seen in. */
static union { struct libxenvchan c; uint32_t w[sizeof(struct libxenvchan) / 4]; } blocking = {
    .c = { .blocking = 1 },
};

#define ITEM(name, expression) printf(\"%s\\t%lld\\n\", name, (long long)(expression))

int main(void)
{
";

/// Compiles and runs a program that evaluates every C expression of `table`, with its files in `directory`.
///
/// The compiler is `$CC`, which may have arguments, or `cc`.
///
/// # Errors
/// A text for people: the compiler or the headers are missing, an expression does not compile, or a line of the
/// program's output makes no sense.
pub fn evaluate(table: &Table, directory: &Path) -> Result<Vec<(String, i64)>, String> {
    headers_are_there()?;
    let program = directory.join("abi");
    let mut source = PROLOGUE.to_owned();
    for item in table.items() {
        // Expressions have quotes now and then; those of Rust's `Debug` are C's too.
        writeln!(source, "    ITEM({:?}, {});", item.c, item.c).map_err(|e| e.to_string())?;
    }
    source.push_str("    return 0;\n}\n");
    compile(&source, [OsStr::new("-o"), program.as_os_str()])
        .map_err(|e| format!("the C program does not compile against Xen's headers:\n{e}"))?;
    let output =
        Command::new(&program).output().map_err(|e| format!("cannot run {}: {e}", program.display()))?;
    if !output.status.success() {
        return Err(format!("{} failed: {}", program.display(), output.status));
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// Checks the compiler and the headers alone, so that a missing one is not told as a hundred errors of C.
fn headers_are_there() -> Result<(), String> {
    compile("#include <stdint.h>\n#include <xen/xen.h>\n", ["-fsyntax-only"])
        .map_err(|e| format!("Xen's public headers or the C compiler are missing; {INSTALL}\n{e}"))
}

/// Gives `source` to the compiler.
fn compile<S: AsRef<OsStr>>(source: &str, args: impl IntoIterator<Item = S>) -> Result<(), String> {
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut words = cc.split_whitespace();
    let mut child = Command::new(words.next().unwrap_or("cc"))
        .args(words)
        .args(["-std=gnu99", "-m64", "-w", "-x", "c", "-"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run `{cc}`: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A compiler that gives up early closes its input; its own words are better than "broken pipe".
        let _ = stdin.write_all(source.as_bytes());
    }
    let output = child.wait_with_output().map_err(|e| format!("cannot wait for `{cc}`: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Reads `name`, tab, `value` lines.
fn parse(output: &str) -> Result<Vec<(String, i64)>, String> {
    let line = |line: &str| {
        let (name, value) = line.rsplit_once('\t')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    output.lines().map(|text| line(text).ok_or_else(|| format!("not a name and a value: {text:?}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_are_a_name_and_a_number() {
        assert_eq!(parse("sizeof(struct x)\t-3\n"), Ok(vec![("sizeof(struct x)".to_owned(), -3)]));
        assert!(parse("no tab\n").is_err());
        assert!(parse("name\tnumber\n").is_err());
    }
}
