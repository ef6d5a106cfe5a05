//! The macros of [shmkit](https://docs.rs/shmkit): which types may lie in shared memory, and which functions other processes
//! can run.
//!
//! Programs use them as `shmkit::ShmSafe`, `shmkit::task`, `shmkit::main`; this crate has no use alone.
//!
//! * [`ShmSafe`](macro@ShmSafe): checks a struct or an enum, and describes it to other processes.
//! * [`task`](macro@task): names a function to the processes that this program starts of itself.
//! * [`main`](macro@main): has those run their tasks instead of `main`.
//! * [`manager`](macro@manager): has a type's public methods be called in the process where its objects are.
//!
//! It does *not* make anything shareable that is not: what it implements, and what that promises, stands at the traits
//! `ShmSafe`, `ShmChecked` and `ShmNiche` of `shmkit-layout`.

mod attributes;
mod enumeration;
mod manager;
mod signature;
mod structure;
mod task;

use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, ItemFn, ItemImpl, Result, parse_macro_input};

use crate::attributes::Attributes;

/// Lets a type of yours lie in shared memory, and be found there by processes that were built from the same definition.
///
/// A struct must be `repr(C)` or `repr(transparent)`, without padding, and each field of a type that may lie there: a number,
/// `bool`, `char`, `NonZero`, an `Option` of one of these or of an enum if it takes no more room, an array, or a type with this derive. An enum
/// must have no fields, and a `repr` of a number. Both must be `Copy`. What is refused is refused with what to write instead.
///
/// | every field is | the type is | and lies in a `Value`, `Mutex`, `Pipe` |
/// | --- | --- | --- |
/// | a value whatever its bytes are | `ShmSafe`, and `bytemuck::Pod` | as it is |
/// | else, and every enum | `ShmChecked` | as `Checked<T>`, which says whether its bytes are a `T` |
///
/// Where two programs were built from two definitions, whoever comes second is refused, and told in which field they differ.
/// So a type's name need not change with it. It is the name that stands in the source; another one is given by
/// `#[shm(name = "weather.Reading")]`, of which 32 bytes are shown. A type that has another meaning and the same fields must have another name.
///
/// It refers to `::shmkit`; to whom has that by another name, by `#[shm(crate = path)]`: `shmkit` or `shmkit_layout`.
///
/// # Examples
///
/// ```
/// use shmkit_layout::{Checked, Pad, ShmChecked, ShmSafe};
///
/// #[derive(Clone, Copy, ShmSafe)]
/// # #[shm(crate = shmkit_layout)]
/// #[repr(C)]
/// struct Reading {
///     celsius: f64,
///     station: u32,
///     quality: Checked<Quality>, // a field that is checked when it is read
///     _pad: Pad<3>,              // without it, the derive says how many bytes
/// }
///
/// #[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
/// # #[shm(crate = shmkit_layout)]
/// #[repr(u8)]
/// enum Quality {
///     Poor,
///     Good,
/// }
///
/// let quality = Quality::Good.into();
/// let reading = Reading { celsius: 21.5, station: 7, quality, _pad: Pad::ZERO };
/// assert_eq!(reading.quality.get()?, Quality::Good);
///
/// #[derive(Clone, Copy, ShmSafe)]
/// # #[shm(crate = shmkit_layout)]
/// #[repr(C)]
/// struct Switch {
///     on: bool,
/// }
///
/// let switch = Checked::new(Switch { on: true }); // checked as a whole
/// assert!(switch.get()?.on);
/// # Ok::<(), shmkit_layout::InvalidValue>(())
/// ```
#[proc_macro_derive(ShmSafe, attributes(shm))]
pub fn shm_safe(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Makes a task of a function: other processes of this program can run it.
///
/// It stays a function: `square(7)` calls it. It also becomes a value `square`, which stands for it where a process is started.
/// Its name, with the path of its module, and its signature are what it is known by, so that they must be the same in both
/// processes; what has changed its meaning and nothing else says `#[task(version = 1)]`. One that may run twice without harm says
/// `#[task(idempotent)]`: it is run on another host when the one that had it has died.
///
/// Arguments and answer are values that serde can pack and unpack; `&str` and `&[u8]` can be borrowed from the message. Refused
/// are generic functions, methods, and what is borrowed else. As it is a value, no variable can have its name where it is in scope. It refers to `::shmkit`; to whom has that by another name, by
/// `#[task(crate = path)]`.
///
/// # Examples
///
/// ```ignore
/// #[shmkit::task]
/// fn power(x: u64, n: u32) -> u64 {
///     x.pow(n)
/// }
///
/// let process = shmkit::Process::spawn(power, (2, 10))?;
/// assert_eq!(process.join()?, power(2, 10));
/// ```
#[proc_macro_attribute]
pub fn task(attributes: TokenStream, input: TokenStream) -> TokenStream {
    let function = parse_macro_input!(input as ItemFn);
    task::expand(attributes.into(), &function).unwrap_or_else(Error::into_compile_error).into()
}

/// Has a process that was started to run a task run it, before anything in `main`, and end.
///
/// In any other process `main` runs as it stands. At its end those processes that are [daemons] and still run are killed, and the
/// others are waited for.
///
/// [daemons]: https://docs.rs/shmkit-process/latest/shmkit_process/struct.Builder.html#method.daemon
#[proc_macro_attribute]
pub fn main(attributes: TokenStream, input: TokenStream) -> TokenStream {
    let function = parse_macro_input!(input as ItemFn);
    task::main(attributes.into(), function).unwrap_or_else(Error::into_compile_error).into()
}

/// Has a manager serve a type: makes a proxy that calls its public methods in the process where the object is.
///
/// Of `impl Ledger` it makes `LedgerProxy`, with a method for each `pub` one that takes `&self` or `&mut self`, and a function
/// for each `pub` one that makes a `Self`, or a `Result<Self, E>`; that takes the manager first. Each returns a `Result`, whose
/// error says why there was no answer. Calls of `&self` run together, of `&mut self` alone.
///
/// Nothing else can be called: what is private, `pub(crate)`, or of another `impl` is not known to the manager. A method is known
/// by type, name and signature; what has changed its meaning and nothing else says `#[manager(version = 1)]`.
///
/// | `#[manager(…)]` | |
/// | --- | --- |
/// | `expose(add, audit)` | these and no others, public or not |
/// | `proxy = Name` | the proxy's name |
/// | `version = 1` | a part of what the methods are known by |
/// | `crate = path` | where `shmkit` is, by another name |
///
/// # Examples
///
/// ```ignore
/// #[derive(Default)]
/// struct Ledger {
///     total: i64,
/// }
///
/// #[shmkit::manager]
/// impl Ledger {
///     pub fn new() -> Self {
///         Self::default()
///     }
///
///     pub fn add(&mut self, n: i64) -> i64 {
///         self.total += n;
///         self.total
///     }
/// }
///
/// let manager = shmkit::Manager::start()?;
/// let ledger = LedgerProxy::new(&manager)?;
/// assert_eq!(ledger.add(7)?, 7);
/// ```
#[proc_macro_attribute]
pub fn manager(attributes: TokenStream, input: TokenStream) -> TokenStream {
    let block = parse_macro_input!(input as ItemImpl);
    manager::expand(attributes.into(), &block).unwrap_or_else(Error::into_compile_error).into()
}

fn derive(input: &DeriveInput) -> Result<proc_macro2::TokenStream> {
    let attributes = Attributes::of(input)?;
    let implementations = match &input.data {
        Data::Struct(data) => structure::implement(input, data, &attributes)?,
        Data::Enum(data) => enumeration::implement(input, data, &attributes)?,
        Data::Union(data) => {
            return Err(Error::new(
                data.union_token.span,
                "a union may not lie in shared memory: nobody can tell which of its fields is there; use a struct of all \
                 of them, or of bytes",
            ));
        }
    };
    let krate = &attributes.krate;
    Ok(quote! {
        const _: () = {
            use #krate::__derive as shm;
            #implementations
        };
    })
}
