//! What other processes are to call: arguments that travel, and what its name is made of.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, Pat, Path, Result, ReturnType, Type, parse_quote};

/// What is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Task,
    /// A method, or a function that makes the object.
    Method,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Task => "a task",
            Self::Method => "a method of a manager",
        }
    }
}

/// One argument: what travels, and how the function gets it.
pub(crate) struct Argument {
    /// As it stands in the source.
    pub(crate) text: String,
    pub(crate) name: Ident,
    /// Its type in the source.
    pub(crate) taken: Type,
    /// The type that travels.
    pub(crate) sent: Type,
    /// The expression that is handed to the function.
    pub(crate) given: TokenStream,
}

impl Argument {
    pub(crate) fn of((number, argument): (usize, &FnArg), kind: Kind) -> Result<Self> {
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
            Type::Reference(reference) => (owned(reference, kind)?, quote!(&#name)),
            Type::ImplTrait(found) => {
                let what = kind.text();
                return Err(Error::new(
                    found.span(),
                    format!(
                        "an argument of {what} has a type with a name: it is what another process unpacks"
                    ),
                ));
            }
            sent => (sent.clone(), quote!(#name)),
        };
        Ok(Self { text, name, taken: (*argument.ty).clone(), sent, given })
    }
}

/// What travels in the place of something borrowed.
fn owned(reference: &syn::TypeReference, kind: Kind) -> Result<Type> {
    let what = kind.text();
    let refused = || {
        Err(Error::new(
            reference.span(),
            format!(
                "an argument of {what} travels to another process, and can be borrowed there only as `&str` or `&[u8]`: take the \
                 value itself, or a handle to shared memory"
            ),
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
pub(crate) fn squeeze(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is returned, as a type.
pub(crate) fn output(signature: &syn::Signature) -> TokenStream {
    match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, output) => output.to_token_stream(),
    }
}

/// The text of a signature: a part of what it is known by.
pub(crate) fn text(arguments: &[Argument], output: &TokenStream) -> String {
    let types: Vec<String> = arguments.iter().map(|argument| squeeze(&argument.taken)).collect();
    format!("fn({}) -> {}", types.join(", "), squeeze(output))
}

/// A name as it is read.
pub(crate) fn plain(name: &Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").unwrap_or(&name).to_owned()
}

/// An entry in the section of what other processes know by its name. Of the macro, so that whoever forbids `unsafe` is not
/// told of the section.
pub(crate) fn in_section(entry: &Path, made: &TokenStream) -> TokenStream {
    quote_spanned! {Span::mixed_site()=>
        #[used]
        #[unsafe(link_section = "shmkit_tasks")]
        static ENTRY: ::core::option::Option<&'static #entry> = {
            static ENTRY: #entry = #made;
            ::core::option::Option::Some(&ENTRY)
        };
    }
}

/// Refuses what nobody else can call.
pub(crate) fn check(signature: &syn::Signature, kind: Kind) -> Result<()> {
    let what = kind.text();
    let refuse = |span: Span, why: String| Err(Error::new(span, why));
    if let Some(found) = &signature.asyncness {
        return refuse(
            found.span(),
            format!(
                "{what} is run without a runtime: make one inside, and block on the future there"
            ),
        );
    }
    if let syn::Safety::Unsafe(found) = &signature.safety {
        return refuse(
            found.span(),
            format!(
                "{what} is called by another process, which cannot promise anything: put `unsafe` inside"
            ),
        );
    }
    if let Some(found) = &signature.abi {
        return refuse(found.span(), format!("{what} is an ordinary function of Rust"));
    }
    if let Some(found) = &signature.variadic {
        return refuse(found.span(), format!("{what} has as many arguments as it says"));
    }
    if !signature.generics.params.is_empty() {
        let instead = match kind {
            Kind::Task => "write a task without parameters that calls the generic function",
            Kind::Method => "write one without parameters that calls the generic one",
        };
        return refuse(
            signature.generics.span(),
            format!(
                "{what} has one name and one type, by which another process finds it: {instead}"
            ),
        );
    }
    Ok(())
}
