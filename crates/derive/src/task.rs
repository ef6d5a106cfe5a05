//! `#[task]`: a function that another process can run.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, ItemFn, LitInt, Path, Result, parse_quote};

use crate::signature::{Argument, Kind, check, in_section, output, plain, text};

/// What `#[task(…)]` says.
struct Says {
    krate: Path,
    version: u64,
    idempotent: bool,
}

impl Says {
    fn of(attributes: TokenStream) -> Result<Self> {
        let mut says = Self { krate: parse_quote!(::shmkit), version: 0, idempotent: false };
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("crate") {
                says.krate = meta.value()?.call(Path::parse_mod_style)?;
            } else if meta.path.is_ident("version") {
                says.version = meta.value()?.parse::<LitInt>()?.base10_parse()?;
            } else if meta.path.is_ident("idempotent") {
                says.idempotent = true;
            } else {
                return Err(
                    meta.error("`#[task(…)]` knows `idempotent`, `version = 1` and `crate = path`")
                );
            }
            Ok(())
        });
        parser.parse2(attributes)?;
        Ok(says)
    }
}

pub(crate) fn expand(attributes: TokenStream, function: &ItemFn) -> Result<TokenStream> {
    let Says { krate, version, idempotent } = Says::of(attributes)?;
    check(&function.sig, Kind::Task)?;
    let ItemFn { attrs, vis, sig, block, .. } = function;
    let name = &sig.ident;
    let arguments: Vec<_> = sig
        .inputs
        .iter()
        .enumerate()
        .map(|a| Argument::of(a, Kind::Task))
        .collect::<Result<_>>()?;
    let (texts, names): (Vec<_>, Vec<_>) = arguments.iter().map(|a| (&a.text, &a.name)).unzip();
    let sent: Vec<_> = arguments.iter().map(|a| &a.sent).collect();
    let given: Vec<_> = arguments.iter().map(|a| &a.given).collect();
    let taken: Vec<_> = arguments.iter().map(|a| &a.taken).collect();
    let output = output(sig);
    let (docs, rest): (Vec<_>, Vec<_>) = attrs.iter().partition(|a| {
        a.path().is_ident("doc") || a.path().is_ident("cfg") || a.path().is_ident("deprecated")
    });
    let signature = text(&arguments, &output);
    let plain = plain(name);
    // Not the task's own name: inside, that is the task, which may start itself.
    let body = format_ident!("{plain}_body", span = Span::mixed_site());
    let inner = syn::Signature { ident: body.clone(), ..sig.clone() };
    let place = quote!(::core::concat!(::core::file!(), ":", ::core::line!()));
    let entry = in_section(
        &parse_quote!(shmkit_task::Entry),
        &quote!(shmkit_task::Entry::of::<#name>(#place)),
    );
    Ok(quote! {
        #(#docs)*
        #[allow(non_camel_case_types, reason = "it is called as the function that it is")]
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #name;

        const _: () = {
            use #krate::__task as shmkit_task;

            #entry

            #(#rest)*
            #inner #block

            impl shmkit_task::Task for #name {
                type Args = (#(#sent,)*);
                type Output = #output;
                const NAME: &'static str = ::core::concat!(::core::module_path!(), "::", #plain);
                const SIGNATURE: &'static str = #signature;
                const PRINT: u64 =
                    shmkit_task::fingerprint(<Self as shmkit_task::Task>::NAME, #signature, #version);
                const IDEMPOTENT: bool = #idempotent;

                fn pack(
                    args: &Self::Args,
                    parcel: &mut shmkit_task::Parcel,
                ) -> ::core::result::Result<(), shmkit_task::ArgumentError> {
                    let (#(#names,)*) = args;
                    #(parcel
                        .add(#names)
                        .map_err(|error| shmkit_task::ArgumentError { argument: #texts, error })?;)*
                    let _ = parcel;
                    ::core::result::Result::Ok(())
                }

                fn unpack(
                    parcel: &mut shmkit_task::Parcel,
                ) -> ::core::result::Result<Self::Args, shmkit_task::ArgumentError> {
                    #(let #names = parcel
                        .take()
                        .map_err(|error| shmkit_task::ArgumentError { argument: #texts, error })?;)*
                    let _ = parcel;
                    ::core::result::Result::Ok((#(#names,)*))
                }

                fn call(args: Self::Args) -> #output {
                    let (#(#names,)*) = args;
                    #body(#(#given),*)
                }
            }

            /// The function itself, so that a call is one.
            impl ::core::ops::Deref for #name {
                type Target = fn(#(#taken),*) -> #output;

                fn deref(&self) -> &Self::Target {
                    &(#body as fn(#(#taken),*) -> #output)
                }
            }
        };
    })
}

/// `#[main]`.
pub(crate) fn main(attributes: TokenStream, mut function: ItemFn) -> Result<TokenStream> {
    let Says { krate, .. } = Says::of(attributes)?;
    if function.sig.ident != "main" || !function.sig.inputs.is_empty() {
        return Err(Error::new(function.sig.span(), "it stands above `fn main()`"));
    }
    if let Some(found) = &function.sig.asyncness {
        return Err(Error::new(
            found.span(),
            "a runtime has threads by the time this would run: call `shmkit::init()` in a plain `main` before it is made",
        ));
    }
    let statements = std::mem::take(&mut function.block.stmts);
    function.block = parse_quote!({
        #krate::__task::init();
        let _at_end = #krate::__task::AtEnd;
        #(#statements)*
    });
    Ok(function.into_token_stream())
}
