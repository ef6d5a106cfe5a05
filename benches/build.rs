//! Builds the peer that is written in C++, where there are a compiler and its headers.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(boost)");
    println!("cargo::rerun-if-changed=cpp/boost.cpp");
    let built = cc::Build::new()
        .cpp(true)
        .file("cpp/boost.cpp")
        .opt_level(3)
        .warnings(false)
        .cargo_warnings(false)
        .try_compile("boost_segment");
    match built {
        Ok(()) => println!("cargo::rustc-cfg=boost"),
        Err(_) => println!(
            "cargo::warning=no C++ compiler, or no headers of Boost (Debian: g++ and libboost-dev): the rows against \
             Boost.Interprocess are left out"
        ),
    }
}
