//! `#[task]`: a function that another process can run.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ItemFn, LitInt, Pat, Path, Result, ReturnType, Type, parse_quote};

/// What `#[task(…)]` says.
struct Says {
    krate: Path,
    version: u64,
}

impl Says {
    fn of(attributes: TokenStream) -> Result<Self> {
        let mut says = Self { krate: parse_quote!(::shmkit), version: 0 };
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("crate") {
                says.krate = meta.value()?.call(Path::parse_mod_style)?;
            } else if meta.path.is_ident("version") {
                says.version = meta.value()?.parse::<LitInt>()?.base10_parse()?;
            } else {
                return Err(meta.error("`#[task(…)]` knows `version = 1` and `crate = path`"));
            }
            Ok(())
        });
        parser.parse2(attributes)?;
        Ok(says)
    }
}

/// One argument: what travels, and how the function gets it.
struct Argument {
    /// As it stands in the source.
    text: String,
    name: Ident,
    /// The type that travels.
    sent: Type,
    /// The expression that is handed to the function.
    given: TokenStream,
}

impl Argument {
    fn of((number, argument): (usize, &FnArg)) -> Result<Self> {
        let FnArg::Typed(argument) = argument else {
            return Err(Error::new(
                argument.span(),
                "a task is known by its name, and has no `self`: write a function that takes what it needs",
            ));
        };
        let name = format_ident!("arg{number}");
        let text = match &*argument.pat {
            Pat::Ident(pattern) => pattern.ident.to_string(),
            pattern => squeeze(pattern),
        };
        let (sent, given) = match &*argument.ty {
            Type::Reference(reference) => (owned(reference)?, quote!(&#name)),
            Type::ImplTrait(found) => {
                return Err(Error::new(
                    found.span(),
                    "an argument of a task has a type with a name: it is what another process unpacks",
                ));
            }
            sent => (sent.clone(), quote!(#name)),
        };
        Ok(Self { text, name, sent, given })
    }
}

/// What travels in the place of something borrowed.
fn owned(reference: &syn::TypeReference) -> Result<Type> {
    let refused = || {
        Err(Error::new(
            reference.span(),
            "an argument of a task travels to another process, and can be borrowed there only as `&str` or `&[u8]`: take the value \
             itself, or a handle to shared memory",
        ))
    };
    if reference.mutability.is_some() {
        return refused();
    }
    match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") => Ok(parse_quote!(::std::string::String)),
        Type::Slice(slice) if matches!(&*slice.elem, Type::Path(of) if of.path.is_ident("u8")) => {
            Ok(parse_quote!(::std::vec::Vec<u8>))
        }
        _ => refused(),
    }
}

/// The text of tokens, without what depends on how they stand in the source.
fn squeeze(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let refuse = |span: Span, why: &str| Err(Error::new(span, why));
    if let Some(found) = &signature.asyncness {
        return refuse(
            found.span(),
            "a task is run without a runtime: make one inside, and block on the future there",
        );
    }
    if let syn::Safety::Unsafe(found) = &signature.safety {
        return refuse(
            found.span(),
            "a task is called by another process, which cannot promise anything: put `unsafe` inside",
        );
    }
    if let Some(found) = &signature.abi {
        return refuse(found.span(), "a task is an ordinary function of Rust");
    }
    if let Some(found) = &signature.variadic {
        return refuse(found.span(), "a task has as many arguments as it says");
    }
    if !signature.generics.params.is_empty() {
        return refuse(
            signature.generics.span(),
            "a task has one name and one type, by which another process finds it: write a task without parameters that calls the \
             generic function",
        );
    }
    Ok(())
}

pub(crate) fn expand(attributes: TokenStream, function: &ItemFn) -> Result<TokenStream> {
    let Says { krate, version } = Says::of(attributes)?;
    check(function)?;
    let ItemFn { attrs, vis, sig, block, .. } = function;
    let name = &sig.ident;
    let arguments: Vec<_> =
        sig.inputs.iter().enumerate().map(Argument::of).collect::<Result<_>>()?;
    let (texts, names): (Vec<_>, Vec<_>) = arguments.iter().map(|a| (&a.text, &a.name)).unzip();
    let sent: Vec<_> = arguments.iter().map(|a| &a.sent).collect();
    let given: Vec<_> = arguments.iter().map(|a| &a.given).collect();
    let taken: Vec<_> = sig
        .inputs
        .iter()
        .map(|argument| match argument {
            FnArg::Typed(argument) => argument.ty.to_token_stream(),
            FnArg::Receiver(_) => TokenStream::new(),
        })
        .collect();
    let output = match &sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, output) => output.to_token_stream(),
    };
    let (docs, rest): (Vec<_>, Vec<_>) = attrs.iter().partition(|a| {
        a.path().is_ident("doc") || a.path().is_ident("cfg") || a.path().is_ident("deprecated")
    });
    let types: Vec<String> = taken.iter().map(squeeze).collect();
    let signature = format!("fn({}) -> {}", types.join(", "), squeeze(&output));
    let plain = name.to_string();
    let plain = plain.strip_prefix("r#").unwrap_or(&plain);
    // Not the task's own name: inside, that is the task, which may start itself.
    let body = format_ident!("{plain}_body", span = Span::mixed_site());
    let inner = syn::Signature { ident: body.clone(), ..sig.clone() };
    // Of the macro, so that whoever forbids `unsafe` is not told of the section.
    let entry = quote_spanned! {Span::mixed_site()=>
        #[used]
        #[unsafe(link_section = "shmkit_tasks")]
        static ENTRY: ::core::option::Option<&'static shmkit_task::Entry> = {
            static ENTRY: shmkit_task::Entry =
                shmkit_task::Entry::of::<#name>(::core::concat!(::core::file!(), ":", ::core::line!()));
            ::core::option::Option::Some(&ENTRY)
        };
    };
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
