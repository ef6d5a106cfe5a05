//! Makes `include/shmkit.h` anew: `cargo run -p shmkit-capi --example header > bindings/c/include/shmkit.h`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let package = env!("CARGO_MANIFEST_DIR");
    let config = cbindgen::Config::from_file(format!("{package}/cbindgen.toml"))?;
    let bindings = cbindgen::Builder::new().with_crate(package).with_config(config).generate()?;
    bindings.write(std::io::stdout());
    Ok(())
}
