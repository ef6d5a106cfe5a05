//! What stands above a type.

use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{DeriveInput, Error, Ident, LitStr, Meta, Path, Result, Token, parse_quote};

/// What `#[repr(…)]` and `#[shm(…)]` say.
pub(crate) struct Attributes {
    /// Where the traits are.
    pub(crate) krate: Path,
    /// What other processes know the type by.
    pub(crate) name: String,
    /// `repr(C)` or `repr(transparent)`.
    pub(crate) is_ordered: bool,
    /// The number that an enum is.
    pub(crate) number: Option<Ident>,
}

impl Attributes {
    pub(crate) fn of(input: &DeriveInput) -> Result<Self> {
        let mut found = Self {
            krate: parse_quote!(::shmkit),
            name: input.ident.to_string(),
            is_ordered: false,
            number: None,
        };
        if let Some(raw) = found.name.strip_prefix("r#") {
            found.name = raw.to_owned();
        }
        for attribute in &input.attrs {
            if attribute.path().is_ident("repr") {
                found.repr(attribute.parse_args_with(Punctuated::parse_terminated)?)?;
            } else if attribute.path().is_ident("shm") {
                attribute.parse_nested_meta(|meta| {
                    if meta.path.is_ident("crate") {
                        found.krate = meta.value()?.call(Path::parse_mod_style)?;
                    } else if meta.path.is_ident("name") {
                        let name: LitStr = meta.value()?.parse()?;
                        found.name = name.value();
                        if found.name.is_empty() || found.name.chars().any(char::is_control) {
                            return Err(Error::new(
                                name.span(),
                                "a name has no control characters, and is not empty",
                            ));
                        }
                    } else {
                        return Err(
                            meta.error("`#[shm(…)]` knows `name = \"…\"` and `crate = path`")
                        );
                    }
                    Ok(())
                })?;
            }
        }
        Ok(found)
    }

    fn repr(&mut self, says: Punctuated<Meta, Token![,]>) -> Result<()> {
        for repr in says {
            let Some(word) = repr.path().get_ident() else { continue };
            match word.to_string().as_str() {
                "C" | "transparent" => self.is_ordered = true,
                "packed" => {
                    return Err(Error::new_spanned(
                        repr.to_token_stream(),
                        "fields of a packed struct cannot be borrowed: leave `packed` out; if there is padding then, you \
                         are told where, and put a `Pad<N>` there",
                    ));
                }
                "align" => {}
                _ => self.number = Some(word.clone()),
            }
        }
        Ok(())
    }
}
