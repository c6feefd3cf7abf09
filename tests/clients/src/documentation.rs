//! A documentation site, written from nothing but numbers: the same release has the same bytes everywhere.
//!
//! ```text
//!   index.html, 404.html, style.HASH.css, page.HASH.js, icon.svg, robots.txt
//!   chapter-00/ … ┬ index.html            a list of its pages
//!                 ├ page-000.html …       headings, paragraphs, code, tables, pictures, links with anchors
//!                 ├ figure-00.svg …       diagrams
//!                 ├ chapter.HASH.js       what the search of the chapter knows
//!                 └ search.json           fetched by page.js
//! ```
//!
//! Every link leads to a file and every fragment to a heading of it.

use crate::Outcome;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The extent of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Chapters, each a folder.
    pub chapters: usize,
    /// Pages of a chapter, besides its list.
    pub pages: usize,
    /// Pictures of a chapter.
    pub figures: usize,
}

impl Extent {
    /// 10,000 files of 200 MB.
    pub const WHOLE: Self = Self { chapters: 38, pages: 215, figures: 45 };

    /// The number of files of [`write()`].
    #[must_use]
    pub const fn files(&self) -> usize {
        TOP_FILES + self.chapters * (self.pages + self.figures + CHAPTER_FILES)
    }
}

/// Files beside the chapters, and files of a chapter besides pages and pictures.
const TOP_FILES: usize = 6;
const CHAPTER_FILES: usize = 3;
/// Headings of a page.
const HEADINGS: usize = 8;
/// As they are named by tools that put a hash of the content into the name: such names are cached for ever.
pub const STYLE: &str = "style.5f2d81c0.css";
/// The script of every page.
pub const SCRIPT: &str = "page.77c0e1ab.js";
const SEARCH: &str = "chapter.0b9f4e62.js";

const WORDS: &[&str] = &[
    "a",
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "for",
    "with",
    "that",
    "each",
    "when",
    "page",
    "ring",
    "grant",
    "event",
    "queue",
    "frame",
    "domain",
    "memory",
    "request",
    "response",
    "backend",
    "frontend",
    "index",
    "slot",
    "channel",
    "packet",
    "segment",
    "window",
    "buffer",
    "ledger",
    "account",
    "session",
    "certificate",
    "handshake",
    "record",
    "stream",
    "block",
    "content",
    "guest",
    "host",
    "address",
    "neighbour",
    "router",
    "prefix",
    "timer",
    "retransmission",
    "acknowledged",
    "sent",
    "received",
    "mapped",
    "released",
    "checked",
    "copied",
    "shared",
    "reads",
    "writes",
    "waits",
    "must",
    "never",
    "always",
    "before",
    "after",
    "only",
    "once",
    "again",
    "until",
    "because",
    "which",
    "otherwise",
    "limit",
    "reason",
    "value",
    "default",
    "option",
];

/// Numbers that depend on the seed alone (xorshift).
struct Numbers(u64);

impl Numbers {
    const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// One below `limit`.
    const fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }

    fn words(&mut self, out: &mut String, count: usize) {
        for n in 0..count {
            let word = WORDS[self.below(WORDS.len())];
            out.push_str(if n > 0 { " " } else { "" });
            out.push_str(word);
        }
    }
}

/// Writes a release of the site into a folder.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, extent: Extent, release: &str) -> Outcome {
    fs::create_dir_all(folder)?;
    let mut list = String::new();
    for chapter in 0..extent.chapters {
        let _ = writeln!(list, "<li><a href=\"chapter-{chapter:02}/\">Chapter {chapter}</a></li>");
    }
    let body = format!("<h1 id=\"top\">Contents</h1><ul>{list}</ul>");
    fs::write(folder.join("index.html"), page("Contents", "", &body, release))?;
    // Served below any path: its links begin at the root.
    fs::write(
        folder.join("404.html"),
        page("Not found", "/", "<h1 id=\"top\">There is no such page</h1>", release),
    )?;
    fs::write(folder.join(STYLE), style())?;
    fs::write(folder.join(SCRIPT), SCRIPT_TEXT)?;
    fs::write(folder.join("icon.svg"), figure(0))?;
    fs::write(folder.join("robots.txt"), "User-agent: *\nAllow: /\n")?;
    for chapter in 0..extent.chapters {
        write_chapter(&folder.join(format!("chapter-{chapter:02}")), extent, chapter, release)?;
    }
    Ok(())
}

fn write_chapter(folder: &Path, extent: Extent, chapter: usize, release: &str) -> Outcome {
    fs::create_dir_all(folder)?;
    let mut list = String::new();
    let mut search = Vec::new();
    for number in 0..extent.pages {
        let _ = writeln!(
            list,
            "<li><a href=\"page-{number:03}.html#h{}\">Page {number}</a></li>",
            number % HEADINGS
        );
        search.push(format!("{{\"page\":{number},\"headings\":{HEADINGS}}}"));
        let body = body(extent, chapter, number);
        let title = format!("Chapter {chapter}, page {number}");
        fs::write(folder.join(format!("page-{number:03}.html")), page(&title, "../", &body, release))?;
    }
    let title = format!("Chapter {chapter}");
    let body = format!("<h1 id=\"top\">{title}</h1><ul>{list}</ul><p><a href=\"../\">Contents</a></p>");
    fs::write(folder.join("index.html"), page(&title, "../", &body, release))?;
    fs::write(folder.join("search.json"), format!("[{}]\n", search.join(",\n")))?;
    let mut numbers = Numbers::new(7_000_000 + chapter as u64);
    let mut script = "window.chapter = [\n".to_owned();
    for _ in 0..400 {
        script.push_str("  \"");
        numbers.words(&mut script, 16);
        script.push_str("\",\n");
    }
    fs::write(folder.join(SEARCH), script + "];\n")?;
    for number in 0..extent.figures {
        let file = folder.join(format!("figure-{number:02}.svg"));
        fs::write(file, figure(chapter * 1000 + number))?;
    }
    Ok(())
}

/// A page around its content; `up` leads to the root.
fn page(title: &str, up: &str, body: &str, release: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"{up}icon.svg\"><link rel=\"stylesheet\" href=\"{up}{STYLE}\">\n\
         <script src=\"{up}{SCRIPT}\" defer></script></head>\n\
         <body><nav></nav><main>\n{body}\n</main><footer>Release {release}</footer></body></html>\n"
    )
}

/// The content of a page of a chapter.
fn body(extent: Extent, chapter: usize, number: usize) -> String {
    let mut numbers = Numbers::new((chapter * 1000 + number + 1) as u64);
    // Most pages are short, a few are long.
    let paragraphs = 1 + numbers.below(4) * (1 + numbers.below(4) / 3 * 2);
    let mut out =
        format!("<h1 id=\"top\">Chapter {chapter}, page {number}</h1>\n<script src=\"{SEARCH}\"></script>\n");
    for heading in 0..HEADINGS {
        let _ = write!(out, "<h2 id=\"h{heading}\">");
        numbers.words(&mut out, 5);
        out.push_str("</h2>\n");
        for _ in 0..paragraphs {
            paragraph(&mut out, extent, &mut numbers);
        }
        code(&mut out, &mut numbers);
    }
    let figure = numbers.below(extent.figures);
    let _ =
        writeln!(out, "<figure><img src=\"figure-{figure:02}.svg\" alt=\"Figure\" width=\"320\"></figure>");
    table(&mut out, &mut numbers);
    let (before, next) = ((number + extent.pages - 1) % extent.pages, (number + 1) % extent.pages);
    let _ = write!(
        out,
        "<p><a href=\"page-{before:03}.html\">Before</a> <a class=\"next\" href=\"page-{next:03}.html\">Next</a> \
         <a href=\"./\">Chapter</a></p>"
    );
    out
}

/// Words, with a link to a heading of any page.
fn paragraph(out: &mut String, extent: Extent, numbers: &mut Numbers) {
    let (words, more) = (20 + numbers.below(60), 10 + numbers.below(30));
    let (chapter, page, heading) =
        (numbers.below(extent.chapters), numbers.below(extent.pages), numbers.below(HEADINGS));
    out.push_str("<p>");
    numbers.words(out, words);
    let _ = write!(out, " <a href=\"../chapter-{chapter:02}/page-{page:03}.html#h{heading}\">");
    numbers.words(out, 3);
    out.push_str("</a> ");
    numbers.words(out, more);
    out.push_str(".</p>\n");
}

fn code(out: &mut String, numbers: &mut Numbers) {
    out.push_str("<pre><code>");
    for line in 0..4 + numbers.below(20) {
        let (name, value) = (WORDS[numbers.below(WORDS.len())], numbers.below(1 << 20));
        let _ = writeln!(
            out,
            "let {name}_{line} = 0x{value:05x}; // &lt;{}&gt;",
            WORDS[numbers.below(WORDS.len())]
        );
    }
    out.push_str("</code></pre>\n");
}

fn table(out: &mut String, numbers: &mut Numbers) {
    out.push_str("<table><tr><th>name</th><th>value</th><th>meaning</th></tr>\n");
    for row in 0..10 + numbers.below(30) {
        let _ = write!(
            out,
            "<tr><td>{}.{row}</td><td>{}</td><td>",
            WORDS[numbers.below(WORDS.len())],
            numbers.below(4096)
        );
        numbers.words(out, 8);
        out.push_str("</td></tr>\n");
    }
    out.push_str("</table>\n");
}

/// A diagram of boxes and arrows.
fn figure(seed: usize) -> String {
    let mut numbers = Numbers::new(9_000_000 + seed as u64);
    let mut out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 480\">\n".to_owned();
    for _ in 0..40 + numbers.below(200) {
        let (x, y, width) = (numbers.below(560), numbers.below(440), 20 + numbers.below(60));
        let (to_x, to_y) = (numbers.below(640), numbers.below(480));
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"24\" fill=\"none\" stroke=\"#246\"/>\
             <path d=\"M{x} {y}L{to_x} {to_y}\" stroke=\"#888\"/>"
        );
    }
    out + "</svg>\n"
}

fn style() -> String {
    let mut out =
        "body { margin: 0 auto; max-width: 60rem; font: 1rem/1.5 sans-serif }\nmain { padding: 1rem }\n"
            .to_owned();
    for number in 0..200 {
        let _ = writeln!(
            out,
            ".kind-{number} {{ color: hsl({} 40% 30%); margin-left: {number}px }}",
            number * 7 % 360
        );
    }
    out + "footer { color: teal }\n"
}

/// Makes the list of headings, fetches what the chapter's search knows, and says in the title what it has found.
const SCRIPT_TEXT: &str = "\
'use strict';
const headings = [...document.querySelectorAll('main h2')];
document.querySelector('nav').append(...headings.map((heading) => {
  const link = document.createElement('a');
  link.href = '#' + heading.id;
  link.textContent = heading.textContent;
  return link;
}));
window.ready = (async () => {
  const images = [...document.images];
  await Promise.all(images.map((image) => image.decode()));
  let known = 0;
  if (window.chapter) {
    const reply = await fetch('search.json');
    known = (await reply.json()).length;
  }
  const styled = getComputedStyle(document.querySelector('footer')).color === 'rgb(0, 128, 128)';
  const release = document.querySelector('footer').textContent;
  document.title = [headings.length, images.length, known, styled, release].join(' ');
})();
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn collect(folder: &Path, into: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else {
                into.insert(path.clone(), fs::read_to_string(&path).unwrap());
            }
        }
    }

    /// The file that a link of a page leads to, and its fragment.
    fn target(page: &Path, root: &Path, link: &str) -> (PathBuf, String) {
        let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
        let mut at = page.parent().unwrap().to_owned();
        if path.starts_with('/') {
            at = root.to_owned();
        }
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                at.pop();
            } else {
                at.push(part);
            }
        }
        if path.is_empty() || path.ends_with('/') {
            at.push("index.html");
        }
        (at, fragment.to_owned())
    }

    #[test]
    fn every_link_of_the_site_leads_somewhere() {
        let root = std::env::temp_dir().join(format!("mill-documentation-{}", std::process::id()));
        let extent = Extent { chapters: 3, pages: 9, figures: 4 };
        write(&root, extent, "1.0").unwrap();
        let mut files = BTreeMap::new();
        collect(&root, &mut files);
        let mut links = 0;
        for (page, text) in
            files.iter().filter(|(page, _)| page.extension().is_some_and(|kind| kind == "html"))
        {
            for (_, rest) in ["href=\"", "src=\""]
                .iter()
                .flat_map(|what| text.match_indices(what).map(|(at, found)| (at, &text[at + found.len()..])))
            {
                let link = rest.split('"').next().unwrap();
                let (file, fragment) = target(page, &root, link);
                let there = files.get(&file).unwrap_or_else(|| panic!("{}: {link}", page.display()));
                assert!(fragment.is_empty() || there.contains(&format!("id=\"{fragment}\"")), "{link}");
                links += 1;
            }
        }
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(files.len(), extent.files());
        assert!(links > 500, "{links}");
        assert_eq!(Extent::WHOLE.files(), 10_000);
    }
}
