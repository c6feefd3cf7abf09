//! Names the libraries that libxenvchan is made of, when it is asked for.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_LIBXENVCHAN").is_some() {
        for library in
            ["xenvchan", "xencall", "xenstore", "xengnttab", "xenevtchn", "xentoollog", "xentoolcore"]
        {
            println!("cargo::rustc-link-lib=static={library}");
        }
        println!("cargo::rustc-link-search=native=/usr/lib/x86_64-linux-gnu");
    }
}
