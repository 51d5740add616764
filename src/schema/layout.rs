//! The stored text of a resource's own fields: one JSON object whose keys stand grouped by who may see them.
//!
//! A view of a row is a few slices of that text, so a list copies bytes instead of parsing JSON. `cuts` says where the
//! groups end and which layout wrote them; a row of another layout is read the slow way, by taking the text apart.
//! Nothing here knows what the values mean, except that a date gets its `…TS` sibling.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::model::{Fields, Timestamp};

use super::{FieldType, Source, Type};

/// How a type's own fields lie in the text; made once per type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Changes whenever the same fields would be written as another text.
    pub number: u64,
    /// In the order of the text.
    pub order: Vec<OwnField>,
    /// All keys the layout writes itself, siblings of dates included.
    known: HashSet<String>,
}

/// One own field in the order of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OwnField {
    pub name: String,
    pub class: usize,
    /// Single references come first in their class, so that links are decided by a glance at its start.
    pub is_reference: bool,
    is_date: bool,
    empty: String,
}

/// Where a type keeps its layout. A copy of a type works its own out again, as it may be changed first.
#[derive(Debug, Default)]
pub struct LayoutCell(OnceLock<Layout>);

impl Clone for LayoutCell {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Type {
    pub(super) fn own_layout(&self) -> &Layout {
        self.layout.0.get_or_init(|| Layout::of(self))
    }
}

impl Layout {
    fn of(ty: &Type) -> Self {
        let own = ty.fields.iter().filter(|(_, f)| f.source == Source::Fields);
        let mut order: Vec<OwnField> = own
            .map(|(name, f)| OwnField {
                name: name.clone(),
                class: f.class,
                is_reference: matches!(f.ty, FieldType::Reference(_)),
                is_date: f.ty == FieldType::Date,
                empty: if f.empty.is_empty() {
                    "null".to_owned()
                } else {
                    f.empty.clone()
                },
            })
            .collect();
        order.sort_by(|a, b| (a.class, !a.is_reference, &a.name).cmp(&(b.class, !b.is_reference, &b.name)));
        let siblings = order.iter().filter(|f| f.is_date).map(|f| sibling(&f.name));
        let known = order.iter().map(|f| f.name.clone()).chain(siblings).collect();
        Self {
            number: number_of(ty.classes.len(), &order),
            order,
            known,
        }
    }
}

/// The number that rows of this layout carry: it changes with the own fields, their grouping and their empty values.
pub fn layout_number(ty: &Type) -> u64 {
    ty.own_layout().number
}

/// Writes own fields as they are stored: the text and the cuts.
///
/// Every own field of the type is there, absent ones as their empty value. Keys the type does not know are kept at the
/// end, shown to nobody, so that a row written by a newer build loses nothing.
pub fn pack(ty: &Type, fields: &Fields) -> (String, String) {
    let layout = ty.own_layout();
    let mut text = String::with_capacity(layout.order.len() * 32);
    let mut cuts = layout.number.to_string();
    let mut class = 0;
    for field in &layout.order {
        end_classes(&mut cuts, &mut class, field.class, text.len());
        let value = fields.get(&field.name).unwrap_or(&field.empty);
        push_member(&mut text, &field.name, value);
        if field.is_date
            && let Some(at) = serde_json::from_str::<String>(value)
                .ok()
                .and_then(|v| Timestamp::parse(&v))
        {
            push_member(&mut text, &sibling(&field.name), &at.0.to_string());
        }
    }
    end_classes(&mut cuts, &mut class, ty.classes.len(), text.len());
    for (name, value) in fields.0.iter().filter(|(name, _)| !layout.known.contains(*name)) {
        push_member(&mut text, name, value.get());
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
    (text, cuts)
}

/// What rows without values look like, type by type: what the texts of rows are alike in.
pub fn sample<'a>(types: impl Iterator<Item = &'a Type>) -> Vec<u8> {
    types
        .flat_map(|ty| pack(ty, &Fields::default()).0.into_bytes())
        .collect()
}

/// The parts of a row's text that a view sees, without braces or the commas between them.
///
/// `view_bit` is [`super::View::bit`], a mask with one bit set. `None` if the text was written by another layout: then
/// the fields must be taken apart and packed again.
pub fn shown<'a>(ty: &Type, text: &'a str, cuts: &str, view_bit: u32) -> Option<impl Iterator<Item = &'a str>> {
    let regions = lay(ty, text, cuts)?.regions();
    Some(
        regions
            .filter(move |(class, _)| is_shown(ty, *class, view_bit))
            .map(|(_, part)| part),
    )
}

pub(super) fn is_shown(ty: &Type, class: usize, view_bit: u32) -> bool {
    ty.classes.get(class).is_some_and(|mask| mask & view_bit != 0)
}

/// Classes that a type has at most: one for each set of views that see the same.
const MOST_CLASSES: usize = 48;

/// A row's text with its cuts, read and found good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Laid<'a> {
    pub text: &'a str,
    ends: [usize; MOST_CLASSES],
    classes: usize,
}

/// Reads the cuts; `None` if they are not this layout's or do not fit the text.
pub(super) fn lay<'a>(ty: &Type, text: &'a str, cuts: &str) -> Option<Laid<'a>> {
    let (number, ends) = cuts.split_once(',').unwrap_or((cuts, ""));
    if read_number(number.as_bytes())? != ty.own_layout().number {
        return None;
    }
    let mut laid = Laid {
        text,
        ends: [0; MOST_CLASSES],
        classes: 0,
    };
    let mut start = 0;
    let parts = ends.as_bytes().split(|byte| *byte == b',');
    for part in parts.filter(|_| !ends.is_empty()) {
        let end = usize::try_from(read_number(part)?).ok()?;
        // Each region begins with what parts it from the one before: the brace or a comma.
        let region = text.get(start..end)?;
        if !region.is_empty() && !region.starts_with(if start == 0 { '{' } else { ',' }) {
            return None;
        }
        *laid.ends.get_mut(laid.classes)? = end;
        laid.classes += 1;
        start = end;
    }
    (laid.classes >= ty.classes.len() && start < text.len()).then_some(laid)
}

impl<'a> Laid<'a> {
    /// A text without anything that can be shown.
    pub(super) fn nothing() -> Self {
        Self {
            text: "",
            ends: [0; MOST_CLASSES],
            classes: 0,
        }
    }

    /// The classes that have text, each with its members.
    pub(super) fn regions(&self) -> Regions<'a> {
        Regions {
            laid: *self,
            class: 0,
            start: 0,
        }
    }
}

/// Walks the classes.
pub(super) struct Regions<'a> {
    laid: Laid<'a>,
    class: usize,
    start: usize,
}

impl<'a> Iterator for Regions<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        while self.class < self.laid.classes {
            let (class, start) = (self.class, self.start);
            let end = *self.laid.ends.get(class)?;
            (self.class, self.start) = (class + 1, end);
            if let Some(members) = self.laid.text.get(start + 1..end).filter(|members| !members.is_empty()) {
                return Some((class, members));
            }
        }
        None
    }
}

fn read_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            None
        } else {
            sum.checked_mul(10)?.checked_add(u64::from(digit))
        }
    })
}

fn end_classes(cuts: &mut String, class: &mut usize, until: usize, at: usize) {
    while *class < until {
        // Writing to a String cannot fail.
        let _ = write!(cuts, ",{at}");
        *class += 1;
    }
}

fn push_member(text: &mut String, name: &str, value: &str) {
    text.push(if text.is_empty() { '{' } else { ',' });
    crate::model::json::push_string(text, name);
    text.push(':');
    text.push_str(value);
}

fn sibling(name: &str) -> String {
    format!("{name}TS")
}

/// FNV-1a, folded to 32 bits to keep the column short: it only tells layouts of one type apart.
fn number_of(classes: usize, order: &[OwnField]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes.iter().chain([&0]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    feed(classes.to_string().as_bytes());
    for field in order {
        feed(field.name.as_bytes());
        feed(field.empty.as_bytes());
        feed(format!("{} {} {}", field.class, field.is_reference, field.is_date).as_bytes());
    }
    (hash >> 32) ^ (hash & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::super::testkit::{own, type_of};
    use super::*;

    fn sample() -> Type {
        type_of(
            "thing",
            &[0b11, 0b01, 0b10],
            &[
                ("zeta", own("string", 0, "null")),
                ("alpha", own("int", 0, "7")),
                ("ownerId", own("reference[thing]", 0, "null")),
                ("firstRunning", own("date", 1, "null")),
                ("secret", own("boolean", 2, "false")),
                (
                    "state",
                    super::super::StoredField {
                        source: Source::Column(super::super::Column::State),
                        ..own("string", 0, "null")
                    },
                ),
            ],
        )
    }

    fn parts<'a>(ty: &Type, packed: &'a (String, String), bit: u32) -> Vec<&'a str> {
        shown(ty, &packed.0, &packed.1, bit).expect("same layout").collect()
    }

    #[test]
    fn the_text_is_one_object_grouped_by_class() {
        let ty = sample();
        for (input, text, one, two) in [
            (
                "{}",
                r#"{"ownerId":null,"alpha":7,"zeta":null,"firstRunning":null,"secret":false}"#,
                r#""ownerId":null,"alpha":7,"zeta":null|"firstRunning":null"#,
                r#""ownerId":null,"alpha":7,"zeta":null|"secret":false"#,
            ),
            (
                r#"{"zeta":"a,b}","firstRunning":"2016-11-01T10:00:00Z","firstRunningTS":1,"later":[1]}"#,
                r#"{"ownerId":null,"alpha":7,"zeta":"a,b}","firstRunning":"2016-11-01T10:00:00Z","firstRunningTS":1477994400000,"secret":false,"later":[1]}"#,
                r#""ownerId":null,"alpha":7,"zeta":"a,b}"|"firstRunning":"2016-11-01T10:00:00Z","firstRunningTS":1477994400000"#,
                r#""ownerId":null,"alpha":7,"zeta":"a,b}"|"secret":false"#,
            ),
        ] {
            let packed = pack(&ty, &Fields::parse(input).unwrap());
            assert_eq!(packed.0, text);
            assert_eq!(parts(&ty, &packed, 0b01).join("|"), one, "{input}");
            assert_eq!(parts(&ty, &packed, 0b10).join("|"), two, "{input}");
            assert_eq!(parts(&ty, &packed, 0b100).join("|"), "");
            assert_eq!(
                pack(&ty, &Fields::parse(&packed.0).unwrap()),
                packed,
                "packing again changes nothing"
            );
        }
    }

    #[test]
    fn empty_classes_and_empty_types_pack_to_valid_json() {
        let none = type_of("none", &[1, 1], &[]);
        let packed = pack(&none, &Fields::default());
        assert_eq!(packed.0, "{}");
        assert!(parts(&none, &packed, 1).is_empty());
        let packed = pack(&none, &Fields::parse(r#"{"x":1}"#).unwrap());
        assert_eq!(packed.0, r#"{"x":1}"#);
        assert!(parts(&none, &packed, 1).is_empty());
        let gap = type_of("gap", &[1, 1, 1], &[("a", own("int", 1, "null"))]);
        let packed = pack(&gap, &Fields::default());
        assert_eq!(parts(&gap, &packed, 1), [r#""a":null"#]);
    }

    #[test]
    fn another_layout_or_damaged_cuts_are_not_read() {
        let ty = sample();
        let (text, cuts) = pack(&ty, &Fields::default());
        let number = layout_number(&ty);
        for bad in [
            String::new(),
            "0,1,2,3".into(),
            format!("{number}"),
            format!("{number},1"),
            format!("{number},1,2,3"),
            format!("{number},999999,999999,999999"),
            format!("{number},x,y,z"),
            format!("{number},60,40,20"),
            format!("{cuts},{}", u64::MAX),
            cuts.replacen(&number.to_string(), &(number + 1).to_string(), 1),
        ] {
            assert!(shown(&ty, &text, &bad, 1).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_number_follows_fields_classes_and_empty_values() {
        let base = layout_number(&sample());
        assert_eq!(layout_number(&sample()), base);
        let mut changed = sample();
        changed.fields.insert("more".into(), own("string", 0, "null"));
        assert_ne!(layout_number(&changed), base);
        let mut changed = sample();
        changed.fields.insert("zeta".into(), own("string", 1, "null"));
        assert_ne!(layout_number(&changed), base);
        let mut changed = sample();
        changed.fields.insert("zeta".into(), own("string", 0, "\"\""));
        assert_ne!(layout_number(&changed), base);
        let mut changed = sample();
        changed.classes.push(0b11);
        assert_ne!(layout_number(&changed), base);
    }
}
