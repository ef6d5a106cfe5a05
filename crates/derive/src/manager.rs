//! `#[manager]`: a type whose methods are called in the process where its objects are.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ImplItem, ImplItemFn, ItemImpl, LitInt, Path,
    PathArguments, ReceiverKind, Result, Token, Type, Visibility, parse_quote,
};

use crate::signature::{Argument, Kind, check, in_section, output, plain, text};

/// What `#[manager(…)]` says.
struct Says {
    krate: Path,
    version: u64,
    proxy: Option<Ident>,
    /// The methods to expose, instead of the public ones.
    exposed: Option<Vec<Ident>>,
}

impl Says {
    fn of(attributes: TokenStream) -> Result<Self> {
        let mut says =
            Self { krate: parse_quote!(::shmkit), version: 0, proxy: None, exposed: None };
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("crate") {
                says.krate = meta.value()?.call(Path::parse_mod_style)?;
            } else if meta.path.is_ident("version") {
                says.version = meta.value()?.parse::<LitInt>()?.base10_parse()?;
            } else if meta.path.is_ident("proxy") {
                says.proxy = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("expose") {
                let list;
                syn::parenthesized!(list in meta.input);
                let names = Punctuated::<Ident, Token![,]>::parse_terminated(&list)?;
                says.exposed = Some(names.into_iter().collect());
            } else {
                return Err(meta.error(
                    "`#[manager(…)]` knows `expose(method, …)`, `proxy = Name`, `version = 1` and `crate = path`",
                ));
            }
            Ok(())
        });
        parser.parse2(attributes)?;
        Ok(says)
    }

    fn exposes(&self, function: &ImplItemFn) -> bool {
        match &self.exposed {
            Some(names) => names.contains(&function.sig.ident),
            None => matches!(function.vis, Visibility::Public(_)),
        }
    }
}

/// What a function does.
enum Does {
    /// `&self`.
    Looks,
    /// `&mut self`.
    Changes,
    Makes,
    /// The type is that of the error.
    MayMake(Box<Type>),
}

/// A function that is exposed.
struct Exposed<'a> {
    name: &'a Ident,
    plain: String,
    docs: Vec<&'a Attribute>,
    arguments: Vec<Argument>,
    output: TokenStream,
    text: String,
    does: Does,
}

impl<'a> Exposed<'a> {
    fn of(function: &'a ImplItemFn, owner: &Ident) -> Result<Self> {
        let signature = &function.sig;
        check(signature, Kind::Method)?;
        let output = output(signature);
        let does = does(signature, &output, owner)?;
        let inputs = signature.inputs.iter().filter(|input| matches!(input, FnArg::Typed(_)));
        let arguments: Vec<_> = inputs
            .enumerate()
            .map(|input| Argument::of(input, Kind::Method))
            .collect::<Result<_>>()?;
        let is_doc = |attribute: &&Attribute| {
            attribute.path().is_ident("doc") || attribute.path().is_ident("deprecated")
        };
        let docs = function.attrs.iter().filter(is_doc).collect();
        let text = text(&arguments, &output);
        let (name, plain) = (&signature.ident, plain(&signature.ident));
        Ok(Self { name, plain, docs, arguments, output, text, does })
    }

    /// The method of the proxy.
    fn call(&self, owner: &Ident, version: u64) -> TokenStream {
        let Self { name, plain, docs, arguments, output, text, .. } = self;
        let names: Vec<_> = arguments.iter().map(|a| &a.name).collect();
        let taken: Vec<_> = arguments.iter().map(|a| &a.taken).collect();
        let known = quote! {
            static KNOWN: shmkit_manager::Known = shmkit_manager::Known::new(
                <#owner as shmkit_manager::Served>::NAME, #plain, #text, #version,
            );
        };
        let result = quote!(::core::result::Result);
        let error = quote!(shmkit_manager::CallError);
        match &self.does {
            Does::Looks | Does::Changes => quote! {
                #(#docs)*
                pub fn #name(&self, #(#names: #taken),*) -> #result<#output, #error> {
                    #known
                    self.0.call(&KNOWN, &(#(#names,)*))
                }
            },
            Does::Makes => quote! {
                #(#docs)*
                pub fn #name(manager: &shmkit_manager::Manager, #(#names: #taken),*) -> #result<Self, #error> {
                    #known
                    manager.__make(&KNOWN, &(#(#names,)*)).map(Self)
                }
            },
            Does::MayMake(why) => quote! {
                #(#docs)*
                pub fn #name(
                    manager: &shmkit_manager::Manager, #(#names: #taken),*
                ) -> #result<#result<Self, #why>, #error> {
                    #known
                    let made = manager.__may_make(&KNOWN, &(#(#names,)*))?;
                    ::core::result::Result::Ok(made.map(Self))
                }
            },
        }
    }

    /// What the manager knows of it.
    fn served(&self, owner: &Ident, version: u64) -> TokenStream {
        let Self { name, plain, arguments, text, .. } = self;
        let names: Vec<_> = arguments.iter().map(|a| &a.name).collect();
        let (sent, given): (Vec<_>, Vec<_>) = arguments.iter().map(|a| (&a.sent, &a.given)).unzip();
        let texts: Vec<_> = arguments.iter().map(|a| &a.text).collect();
        let unpack = quote!(#(let #names: #sent = args.take(#texts)?;)* let _ = &args;);
        let known = quote!(shmkit_manager::Known::new(
            <#owner as shmkit_manager::Served>::NAME, #plain, #text, #version,
        ));
        match &self.does {
            Does::Looks => quote! {
                shmkit_manager::Method::looks(#known, |args| {
                    #unpack
                    ::core::result::Result::Ok(::std::boxed::Box::new(move |object: &#owner| {
                        shmkit_manager::returned(&object.#name(#(#given),*))
                    }))
                })
            },
            Does::Changes => quote! {
                shmkit_manager::Method::changes(#known, |args| {
                    #unpack
                    ::core::result::Result::Ok(::std::boxed::Box::new(move |object: &mut #owner| {
                        shmkit_manager::returned(&object.#name(#(#given),*))
                    }))
                })
            },
            Does::Makes => quote! {
                shmkit_manager::Maker::new(#known, |args| {
                    #unpack
                    ::core::result::Result::Ok(::core::result::Result::Ok(#owner::#name(#(#given),*)))
                })
            },
            Does::MayMake(_) => quote! {
                shmkit_manager::Maker::new(#known, |args| {
                    #unpack
                    ::core::result::Result::Ok(match #owner::#name(#(#given),*) {
                        ::core::result::Result::Ok(object) => ::core::result::Result::Ok(object),
                        ::core::result::Result::Err(why) => {
                            ::core::result::Result::Err(shmkit_manager::not_made(&why)?)
                        }
                    })
                })
            },
        }
    }
}

fn does(signature: &syn::Signature, output: &TokenStream, owner: &Ident) -> Result<Does> {
    if let Some(receiver) = signature.receiver() {
        let ReceiverKind::Reference(_, _, changes) = &receiver.kind else {
            return Err(Error::new(
                receiver.span(),
                "the object stays in its manager: a method that is called from elsewhere takes `&self` or `&mut self`",
            ));
        };
        if let Ok(Type::Reference(found)) = syn::parse2(output.clone()) {
            return Err(Error::new(
                found.span(),
                "what a method returns travels to another process, and cannot be borrowed: return the value itself",
            ));
        }
        return Ok(if changes.is_some() { Does::Changes } else { Does::Looks });
    }
    let is_self = |found: &Type| matches!(found, Type::Path(path) if path.path.is_ident("Self") || path.path.is_ident(owner));
    let refused = || {
        Err(Error::new(
            signature.span(),
            "a function that is called from elsewhere takes `&self` or `&mut self`, or makes the object: returns `Self` or \
             `Result<Self, E>`",
        ))
    };
    let Ok(returned) = syn::parse2::<Type>(output.clone()) else { return refused() };
    if is_self(&returned) {
        return Ok(Does::Makes);
    }
    let Type::Path(path) = &returned else { return refused() };
    let Some(last) = path.path.segments.last() else { return refused() };
    let PathArguments::AngleBracketed(generics) = &last.arguments else { return refused() };
    let types: Vec<&Type> = generics
        .args
        .iter()
        .filter_map(|arg| match arg {
            GenericArgument::Type(found) => Some(found),
            _ => None,
        })
        .collect();
    match types[..] {
        [made, why] if last.ident == "Result" && is_self(made) => {
            Ok(Does::MayMake(Box::new(why.clone())))
        }
        _ => refused(),
    }
}

/// The name of the type whose methods these are.
fn owner(block: &ItemImpl) -> Result<&Ident> {
    if let Some((found, _)) = &block.trait_ {
        return Err(Error::new(
            found.span(),
            "a proxy has methods of a type's own: put it above an `impl` without a trait",
        ));
    }
    if !block.generics.params.is_empty() {
        return Err(Error::new(
            block.generics.span(),
            "a manager makes objects of types with a name: put it above an `impl` without parameters",
        ));
    }
    match &*block.self_ty {
        Type::Path(path) if path.path.get_ident().is_some() => {
            Ok(path.path.get_ident().unwrap_or_else(|| unreachable!("looked at")))
        }
        other => {
            Err(Error::new(other.span(), "it stands in the module of its type, above `impl Name`"))
        }
    }
}

pub(crate) fn expand(attributes: TokenStream, block: &ItemImpl) -> Result<TokenStream> {
    let says = Says::of(attributes)?;
    let owner = owner(block)?;
    let functions: Vec<&ImplItemFn> = block
        .items
        .iter()
        .filter_map(|item| match item {
            ImplItem::Fn(function) => Some(function),
            _ => None,
        })
        .collect();
    for name in says.exposed.iter().flatten() {
        if !functions.iter().any(|function| function.sig.ident == *name) {
            return Err(Error::new(name.span(), format!("there is no `{name}` in this `impl`")));
        }
    }
    let exposed: Vec<Exposed<'_>> = functions
        .into_iter()
        .filter(|function| says.exposes(function))
        .map(|function| Exposed::of(function, owner))
        .collect::<Result<_>>()?;
    let Says { krate, version, .. } = &says;
    let proxy = says.proxy.clone().unwrap_or_else(|| format_ident!("{owner}Proxy"));
    let plain_owner = plain(owner);
    let calls: Vec<_> = exposed.iter().map(|function| function.call(owner, *version)).collect();
    let makes = |function: &&Exposed<'_>| matches!(function.does, Does::Makes | Does::MayMake(_));
    let makers: Vec<_> =
        exposed.iter().filter(makes).map(|function| function.served(owner, *version)).collect();
    let methods: Vec<_> = exposed
        .iter()
        .filter(|function| !makes(function))
        .map(|function| function.served(owner, *version))
        .collect();
    let place = quote!(::core::concat!(::core::file!(), ":", ::core::line!()));
    let entry = in_section(
        &parse_quote!(shmkit_manager::Entry),
        &quote!(shmkit_manager::Entry::apart(<#owner as shmkit_manager::Served>::NAME, #place, &TYPE)),
    );
    let doc = format!(
        "Calls a [`{plain_owner}`] in the process of its manager. It is a value that travels."
    );
    Ok(quote! {
        #[allow(unreachable_pub, reason = "`pub` says what others may call, wherever the type is seen")]
        #block

        #[doc = #doc]
        #[allow(unreachable_pub, reason = "as visible as its module")]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        pub struct #proxy(#krate::__manager::Proxy);

        const _: () = {
            use #krate::__manager as shmkit_manager;

            static TYPE: shmkit_manager::Type = shmkit_manager::Type::of::<#owner>();
            #entry

            impl shmkit_manager::Served for #owner {
                const NAME: &'static str = ::core::concat!(::core::module_path!(), "::", #plain_owner);
                const MAKERS: &'static [shmkit_manager::Maker<Self>] = &[#(#makers),*];
                const METHODS: &'static [shmkit_manager::Method<Self>] = &[#(#methods),*];
            }

            #[allow(private_interfaces, unreachable_pub, reason = "as visible as the types that it names")]
            impl #proxy {
                #(#calls)*
            }

            impl shmkit_manager::Remote for #proxy {
                fn from_proxy(proxy: shmkit_manager::Proxy) -> Self {
                    Self(proxy)
                }

                fn proxy(&self) -> &shmkit_manager::Proxy {
                    &self.0
                }
            }

            impl shmkit_manager::serde::Serialize for #proxy {
                fn serialize<S: shmkit_manager::serde::Serializer>(
                    &self, serializer: S,
                ) -> ::core::result::Result<S::Ok, S::Error> {
                    shmkit_manager::serde::Serialize::serialize(&self.0, serializer)
                }
            }

            impl<'de> shmkit_manager::serde::Deserialize<'de> for #proxy {
                fn deserialize<D: shmkit_manager::serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> ::core::result::Result<Self, D::Error> {
                    <shmkit_manager::Proxy as shmkit_manager::serde::Deserialize>::deserialize(deserializer)
                        .map(Self)
                }
            }
        };
    })
}
