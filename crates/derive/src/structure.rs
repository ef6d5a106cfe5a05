//! Structs.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DataStruct, DeriveInput, Error, GenericParam, Generics, Index, Member, Result, Type};

use crate::attributes::Attributes;

pub(crate) fn implement(
    input: &DeriveInput,
    data: &DataStruct,
    attributes: &Attributes,
) -> Result<TokenStream> {
    let ident = &input.ident;
    if !attributes.is_ordered {
        return Err(Error::new_spanned(
            ident,
            format!(
                "the fields of `{ident}` lie in an order that the compiler chooses, another one in each program: write \
                 `#[repr(C)]` above it, or `#[repr(transparent)]` if there is one field"
            ),
        ));
    }
    // What a field's type says of itself, before the compiler says that it is not `Send`.
    if let Some(field) =
        data.fields.iter().find(|field| matches!(field.ty, Type::Ptr(_) | Type::Reference(_)))
    {
        return Err(Error::new_spanned(
            &field.ty,
            "an address means nothing in another process: put the value itself there, an index, or an `Offset`'s number of \
             bytes; text lies there as an array of bytes and a length",
        ));
    }
    let types: Vec<_> = data.fields.iter().map(|field| &field.ty).collect();
    let members = data.fields.iter().enumerate().map(|(i, field)| match &field.ident {
        Some(name) => Member::Named(name.clone()),
        None => Member::Unnamed(Index::from(i)),
    });
    let members: Vec<_> = members.collect();
    // Spanned, so that a field that may not lie in shared memory is what an error points at.
    let fields = members.iter().zip(&types).map(|(member, ty)| {
        let name = match member {
            Member::Named(name) => name.to_string().trim_start_matches("r#").to_owned(),
            Member::Unnamed(index) => index.index.to_string(),
        };
        quote_spanned! {ty.span()=>
            shm::Field::new(#name, ::core::mem::offset_of!(Self, #member), <#ty as shm::ShmChecked>::SCHEMA)
        }
    });
    let valid = members.iter().zip(&types).map(|(member, ty)| {
        quote! {
            && <#ty as shm::ShmChecked>::is_valid(
                &bytes[::core::mem::offset_of!(Self, #member)..][..::core::mem::size_of::<#ty>()],
            )
        }
    });
    let name = &attributes.name;
    let checked = bounded(&input.generics, &quote!(shm::ShmChecked));
    let (generics, arguments, bounds) = checked.split_for_impl();
    let checked = quote! {
        // SAFETY: `repr(C)` or `repr(transparent)`, and each field is what may lie there; `structure` refuses padding. The
        // schema's size and alignment are those of `Self`, its offsets the compiler's. It is valid if all fields are.
        #[automatically_derived]
        unsafe impl #generics shm::ShmChecked for #ident #arguments #bounds {
            const SCHEMA: &'static shm::Schema =
                &shm::Schema::structure::<Self>(#name, &[#(#fields),*]);

            #[inline]
            fn is_valid(bytes: &[u8]) -> bool {
                bytes.len() == ::core::mem::size_of::<Self>() #(#valid)*
            }
        }
    };

    // Where a field is not `ShmSafe`, neither is the struct. A bound that is known to be wrong is an error, unless it is made
    // to look as if it depended on something.
    let mut safe = bounded(&input.generics, &quote!(shm::ShmSafe));
    let where_clause = safe.make_where_clause();
    for ty in &types {
        where_clause.predicates.push(syn::parse_quote!(for<'__shm> #ty: shm::ShmSafe));
    }
    let (generics, arguments, bounds) = safe.split_for_impl();
    let safe = quote! {
        // SAFETY: zero bytes are a value of each field.
        #[automatically_derived]
        unsafe impl #generics shm::Zeroable for #ident #arguments #bounds {}
        // SAFETY: `ShmChecked` has no padding and no pointers, and every bit pattern is a value of each field.
        #[automatically_derived]
        unsafe impl #generics shm::Pod for #ident #arguments #bounds {}
        #[automatically_derived]
        impl #generics shm::ShmSafe for #ident #arguments #bounds {}
    };
    // Else only who uses the type would be told of its padding.
    let at_once = has_no_types(&input.generics).then(|| {
        let check = format_ident!("_CHECKED");
        quote!(const #check: &shm::Schema = <#ident #arguments as shm::ShmChecked>::SCHEMA;)
    });
    Ok(quote!(#checked #safe #at_once))
}

/// Adds a bound to each type parameter.
fn bounded(generics: &Generics, bound: &TokenStream) -> Generics {
    let mut generics = generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(syn::parse_quote!(#bound));
    }
    generics
}

fn has_no_types(generics: &Generics) -> bool {
    generics.params.iter().all(|parameter| matches!(parameter, GenericParam::Lifetime(_)))
}
