//! In what two definitions of one type differ.

use core::fmt;

use super::definition::{Definition, Part, Parts};

/// The first difference between two definitions.
///
/// ```text
/// `Reading.at`: u64 at byte 8 here, u32 at byte 8 there
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The type, and the fields that lead to what differs.
    path: String,
    here: String,
    there: String,
}

impl Difference {
    fn new(path: &str, here: impl fmt::Display, there: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), here: here.to_string(), there: there.to_string() }
    }

    /// Returns what differs: the type and the fields that lead there, `Reading.at`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns what it is in this process.
    pub fn here(&self) -> &str {
        &self.here
    }

    /// Returns what it is in the other one.
    pub fn there(&self) -> &str {
        &self.there
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, here, there } = self;
        write!(f, "`{path}`: {here} here, {there} there")
    }
}

impl Definition {
    /// Returns the first difference between this one, which is *here*, and another.
    pub fn difference(&self, there: &Self) -> Option<Difference> {
        differ(&self.to_string(), self, there)
    }
}

/// Compares what lies at `path` on both sides.
fn differ(path: &str, here: &Definition, there: &Definition) -> Option<Difference> {
    if here == there {
        return None;
    }
    if here.name != there.name {
        return Some(Difference::new(path, here, there));
    }
    let inside = match (&here.parts, &there.parts) {
        (Parts::Struct(ours), Parts::Struct(theirs)) => fields(path, ours, theirs),
        (Parts::Enum(ours), Parts::Enum(theirs)) => variants(path, ours, theirs),
        (Parts::Array { of: ours, len }, Parts::Array { of: theirs, len: other })
            if len == other =>
        {
            differ(&format!("{path}[]"), ours, theirs)
        }
        (Parts::Option { of: ours, .. }, Parts::Option { of: theirs, .. }) => {
            differ(path, ours, theirs)
        }
        _ if here.to_string() != there.to_string() => {
            return Some(Difference::new(path, here, there));
        }
        _ => None,
    };
    inside.or_else(|| {
        let room = |of: &Definition| format!("{of} of {} bytes, aligned to {}", of.size, of.align);
        let (ours, theirs) = (room(here), room(there));
        // The rest that there is: another form, or another value for none, of one name and size.
        let (ours, theirs) = match ours == theirs {
            true => (format!("{ours}, {}", form(here)), format!("{theirs}, {}", form(there))),
            false => (ours, theirs),
        };
        Some(Difference::new(path, ours, theirs))
    })
}

/// Returns what a type is, apart from its name.
fn form(of: &Definition) -> String {
    match &of.parts {
        Parts::Plain => "of any bits".into(),
        Parts::Padding => "padding".into(),
        Parts::Bool => "a bool".into(),
        Parts::Char => "a char".into(),
        Parts::NonZero => "not 0".into(),
        Parts::Array { .. } => "an array".into(),
        Parts::Struct(_) => "a struct with other padding".into(),
        Parts::Enum(_) => "an enum in another order".into(),
        Parts::Option { none, .. } => format!("none as {none}"),
    }
}

/// Compares fields in the order in which they lie; padding is no difference but by what lies behind it.
fn fields(path: &str, ours: &[Part], theirs: &[Part]) -> Option<Difference> {
    let named = |part: &&Part| part.of.parts != Parts::Padding;
    let shown = |part: &Part| format!("{} at byte {}", part.of, part.offset);
    for field in ours.iter().filter(named) {
        let path = format!("{path}.{}", field.name);
        let Some(other) = theirs.iter().find(|other| other.name == field.name) else {
            return Some(Difference::new(&path, shown(field), "no such field"));
        };
        let (here, there) = (shown(field), shown(other));
        if here != there {
            return Some(Difference::new(&path, here, there));
        }
        if let Some(difference) = differ(&path, &field.of, &other.of) {
            return Some(difference);
        }
    }
    let new =
        theirs.iter().filter(named).find(|other| ours.iter().all(|f| f.name != other.name))?;
    Some(Difference::new(&format!("{path}.{}", new.name), "no such field", shown(new)))
}

/// Compares the variants of an enum.
fn variants(path: &str, ours: &[(String, i128)], theirs: &[(String, i128)]) -> Option<Difference> {
    let find = |all: &[(String, i128)], name: &str| {
        all.iter().find(|(other, _)| other == name).map(|&(_, value)| value)
    };
    for (name, value) in ours {
        let path = format!("{path}::{name}");
        match find(theirs, name) {
            Some(other) if other == *value => {}
            Some(other) => return Some(Difference::new(&path, value, other)),
            None => return Some(Difference::new(&path, value, "no such variant")),
        }
    }
    let (name, value) = theirs.iter().find(|(name, _)| find(ours, name).is_none())?;
    Some(Difference::new(&format!("{path}::{name}"), "no such variant", value))
}

#[cfg(test)]
mod tests {
    use super::super::{Field, Form, Schema, Variant};
    use super::*;
    use crate::{Pad, ShmChecked};

    fn leak<T>(values: Vec<T>) -> &'static [T] {
        values.leak()
    }

    fn of<T>(fields: Vec<Field>) -> Schema {
        Schema::structure::<T>("Reading", leak(fields))
    }

    /// Says how the first differs from the second.
    fn says(here: &Schema, there: &Schema) -> String {
        assert_ne!(here.hash(), there.hash(), "what differs has another hash");
        Definition::from(here).difference(&there.into()).unwrap().to_string()
    }

    fn base() -> Schema {
        of::<[u64; 2]>(vec![Field::new("id", 0, u64::SCHEMA), Field::new("at", 8, u64::SCHEMA)])
    }

    #[test]
    fn one_definition_does_not_differ() {
        assert_eq!(Definition::from(&base()).difference(&(&base()).into()), None);
    }

    #[test]
    fn a_field_of_another_type_is_named_on_both_sides() {
        let narrow = of::<[u64; 2]>(vec![
            Field::new("id", 0, u64::SCHEMA),
            Field::new("at", 8, u32::SCHEMA),
            Field::new("_pad", 12, Pad::<4>::SCHEMA),
        ]);
        assert_eq!(says(&base(), &narrow), "`Reading.at`: u64 at byte 8 here, u32 at byte 8 there");
        assert_eq!(says(&narrow, &base()), "`Reading.at`: u32 at byte 8 here, u64 at byte 8 there");
    }

    #[test]
    fn a_field_that_one_side_lacks_is_named() {
        let more = of::<[u64; 3]>(vec![
            Field::new("id", 0, u64::SCHEMA),
            Field::new("at", 8, u64::SCHEMA),
            Field::new("who", 16, u64::SCHEMA),
        ]);
        assert_eq!(says(&base(), &more), "`Reading.who`: no such field here, u64 at byte 16 there");
        assert_eq!(says(&more, &base()), "`Reading.who`: u64 at byte 16 here, no such field there");
    }

    #[test]
    fn fields_in_another_order_are_named_with_their_places() {
        let turned = of::<[u64; 2]>(vec![
            Field::new("at", 0, u64::SCHEMA),
            Field::new("id", 8, u64::SCHEMA),
        ]);
        assert_eq!(says(&base(), &turned), "`Reading.id`: u64 at byte 0 here, u64 at byte 8 there");
    }

    #[test]
    fn a_difference_far_inside_is_named_with_the_way_to_it() {
        let holds = |inner: Schema| {
            let inner: &'static Schema = Box::leak(Box::new(inner));
            let array = Schema::array::<[[u64; 2]; 3]>(inner, 3);
            let array: &'static Schema = Box::leak(Box::new(array));
            Schema::structure::<[u64; 6]>("Log", leak(vec![Field::new("rows", 0, array)]))
        };
        let other = of::<[u64; 2]>(vec![
            Field::new("id", 0, u64::SCHEMA),
            Field::new("at", 8, f64::SCHEMA),
        ]);
        assert_eq!(
            says(&holds(base()), &holds(other)),
            "`Log.rows[].at`: u64 at byte 8 here, f64 at byte 8 there"
        );
    }

    #[test]
    fn variants_are_named_with_their_values() {
        let mode = |fast| {
            let variants = vec![Variant::new("Slow", 0), Variant::new("Fast", fast)];
            Schema::enumeration::<u8>("Mode", leak(variants))
        };
        assert_eq!(says(&mode(1), &mode(2)), "`Mode::Fast`: 1 here, 2 there");
        let less = Schema::enumeration::<u8>("Mode", leak(vec![Variant::new("Slow", 0)]));
        assert_eq!(says(&mode(1), &less), "`Mode::Fast`: 1 here, no such variant there");
        assert_eq!(says(&less, &mode(1)), "`Mode::Fast`: no such variant here, 1 there");
    }

    #[test]
    fn what_has_one_name_and_differs_otherwise_is_told() {
        let wide = Schema::opaque::<u64>("clock.Tick");
        assert_eq!(
            says(&wide, &Schema::opaque::<u32>("clock.Tick")),
            "`clock.Tick`: clock.Tick of 8 bytes, aligned to 8 here, clock.Tick of 4 bytes, aligned to 4 there"
        );
        let bits = Schema::new::<u64>("clock.Tick", Form::NonZero);
        assert!(says(&wide, &bits).contains("of any bits here"));
        let one = Schema::option::<Option<bool>>(bool::SCHEMA, 2);
        let other = Schema::option::<Option<bool>>(bool::SCHEMA, 3);
        assert!(says(&one, &other).contains("none as 2 here"));
    }

    #[test]
    fn arrays_of_another_length_differ() {
        assert_eq!(
            says(<[u8; 3]>::SCHEMA, <[u8; 4]>::SCHEMA),
            "`[u8; 3]`: [u8; 3] here, [u8; 4] there"
        );
    }
}
