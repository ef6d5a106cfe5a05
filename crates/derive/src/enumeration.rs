//! Enums without fields.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{DataEnum, DeriveInput, Error, Fields, Result};

use crate::attributes::Attributes;

pub(crate) fn implement(
    input: &DeriveInput,
    data: &DataEnum,
    attributes: &Attributes,
) -> Result<TokenStream> {
    let ident = &input.ident;
    if let Some(variant) =
        data.variants.iter().find(|variant| !matches!(variant.fields, Fields::Unit))
    {
        return Err(Error::new_spanned(
            variant,
            format!(
                "a variant with fields may not lie in shared memory, for which fields are there would hang on bytes that a \
                 peer writes: make `{ident}` an enum without fields, beside a struct with the fields of all variants"
            ),
        ));
    }
    if data.variants.is_empty() {
        return Err(Error::new_spanned(
            ident,
            format!("`{ident}` has no variants, and so no value that could be shared"),
        ));
    }
    let Some(number) = &attributes.number else {
        return Err(Error::new_spanned(
            ident,
            format!(
                "the size of `{ident}` is what the compiler chooses: write `#[repr(u8)]` above it, or another number"
            ),
        ));
    };
    let name = &attributes.name;
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let names =
        variants.iter().map(|variant| variant.to_string().trim_start_matches("r#").to_owned());
    let values: Vec<_> = (0..variants.len()).map(|i| format_ident!("_{i}")).collect();
    Ok(quote! {
        // SAFETY: a number of the size that its `repr` says, which is that of one of the variants. The schema's size and
        // alignment are those of `Self`.
        #[automatically_derived]
        unsafe impl shm::ShmChecked for #ident {
            const SCHEMA: &'static shm::Schema = &shm::Schema::enumeration::<Self>(
                #name,
                &[#(shm::Variant::new(#names, Self::#variants as #number as i128)),*],
            );

            #[inline]
            fn is_valid(bytes: &[u8]) -> bool {
                #(const #values: #number = #ident::#variants as #number;)*
                match <[u8; ::core::mem::size_of::<Self>()]>::try_from(bytes) {
                    ::core::result::Result::Ok(bytes) => {
                        ::core::matches!(<#number>::from_ne_bytes(bytes), #(#values)|*)
                    }
                    ::core::result::Result::Err(_) => false,
                }
            }
        }

        // SAFETY: read from one.
        #[automatically_derived]
        unsafe impl shm::ShmNiche for #ident {
            const NONE: ::core::option::Option<u128> = shm::none_of::<Self>();
        }
    })
}
