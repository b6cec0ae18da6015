//! Compiles the shim around libipsec-mb where its header is installed; elsewhere the crate goes without it.

use std::path::Path;

const HEADERS: [&str; 2] = [
    "/usr/include/intel-ipsec-mb.h",
    "/usr/local/include/intel-ipsec-mb.h",
];
const SHIM: &str = "src/esp/multibuffer.c";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(multibuffer)");
    println!("cargo::rerun-if-changed={SHIM}");
    for header in HEADERS {
        println!("cargo::rerun-if-changed={header}");
    }
    let x86 = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    if x86 && HEADERS.iter().any(|header| Path::new(header).exists()) {
        cc::Build::new()
            .file(SHIM)
            .opt_level(2)
            .flag("-Wall")
            .flag("-Wextra")
            .compile("culvert_multibuffer");
        println!("cargo::rustc-cfg=multibuffer");
    }
}
