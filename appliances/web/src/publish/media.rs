//! Media types by the end of a name, in any case. A test compares the table with the crate `mime_guess`, which is made from
//! IANA's registry and is not compiled without std.

/// The type of a file; for text with its character set.
pub(super) fn media_type(path: &str) -> &'static str {
    let file = path.rsplit('/').next().unwrap_or_default();
    let end = file.rsplit_once('.').map_or("", |(_, end)| end);
    let known = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(end));
    known.map_or("application/octet-stream", |(_, kind)| kind)
}

/// By frequency on the web, more or less: the search ends early.
const TYPES: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("woff2", "font/woff2"),
    ("webp", "image/webp"),
    ("ico", "image/x-icon"),
    ("json", "application/json"),
    ("txt", "text/plain; charset=utf-8"),
    ("xml", "text/xml; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("gif", "image/gif"),
    ("jpeg", "image/jpeg"),
    ("htm", "text/html; charset=utf-8"),
    ("map", "application/json"),
    ("wasm", "application/wasm"),
    ("webmanifest", "application/manifest+json"),
    ("avif", "image/avif"),
    ("woff", "font/woff"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    ("eot", "application/vnd.ms-fontobject"),
    ("pdf", "application/pdf"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("log", "text/plain; charset=utf-8"),
    ("ics", "text/calendar; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("yaml", "text/x-yaml; charset=utf-8"),
    ("yml", "text/x-yaml; charset=utf-8"),
    ("toml", "text/x-toml; charset=utf-8"),
    ("xhtml", "application/xhtml+xml"),
    ("atom", "application/atom+xml"),
    ("rss", "application/rss+xml"),
    ("jsonld", "application/ld+json"),
    ("rtf", "application/rtf"),
    ("bmp", "image/bmp"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("jxl", "image/jxl"),
    ("apng", "image/apng"),
    ("heic", "image/heic"),
    ("mp4", "video/mp4"),
    ("m4v", "video/x-m4v"),
    ("webm", "video/webm"),
    ("ogv", "video/ogg"),
    ("mov", "video/quicktime"),
    ("mpeg", "video/mpeg"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/m4a"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("aac", "audio/aac"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("tgz", "application/gzip"),
    ("tar", "application/x-tar"),
    ("bz2", "application/x-bzip2"),
    ("xz", "application/x-xz"),
    ("7z", "application/x-7z-compressed"),
    ("zst", "application/zstd"),
    ("br", "application/x-brotli"),
    ("jar", "application/java-archive"),
    ("epub", "application/epub+zip"),
    ("iso", "application/octet-stream"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("asc", "application/pgp-signature"),
    ("crl", "application/pkix-crl"),
];

#[cfg(test)]
mod tests {
    use super::{TYPES, media_type};
    use alloc::format;
    use alloc::vec::Vec;

    /// Registered or usual since the crate's table was made: RFC 9239, RFC 8081, RFC 8878.
    const NEWER: [&str; 7] = ["mjs", "map", "woff", "otf", "tgz", "zst", "br"];

    #[test]
    fn the_table_agrees_with_the_registry() {
        let differ: Vec<_> = TYPES
            .iter()
            .filter_map(|(end, kind)| {
                let essence = kind.split(';').next().unwrap();
                let registered = mime_guess::from_ext(end);
                let agrees =
                    NEWER.contains(end) || registered.iter().any(|mime| mime.essence_str() == essence);
                (!agrees)
                    .then(|| format!("{end}: {essence}, not {:?}", registered.iter_raw().collect::<Vec<_>>()))
            })
            .collect();
        assert!(differ.is_empty(), "{differ:#?}");
    }

    #[test]
    fn the_case_of_an_ending_does_not_matter() {
        assert_eq!(media_type("/PHOTO.JPG"), "image/jpeg");
        assert_eq!(media_type("/a/b.Html"), "text/html; charset=utf-8");
        for none in ["/a.b/c", "/README", "/.hidden", "/a.", "/"] {
            assert_eq!(media_type(none), "application/octet-stream", "{none}");
        }
    }
}
