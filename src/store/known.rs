//! Texts of statements that never change, each with a name of its own.

/// A type that stands for a text which never changes.
pub(super) trait Known: 'static {
    /// The text, with `?` where its values go.
    fn text() -> &'static str;

    /// The text, parted where its values go.
    fn parts() -> &'static [&'static str];
}

/// Names the text of a statement.
macro_rules! known {
    ($(#[$about:meta])* $vis:vis $name:ident = $text:expr) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy)]
        $vis struct $name;
        impl crate::store::known::Known for $name {
            fn text() -> &'static str {
                $text
            }

            fn parts() -> &'static [&'static str] {
                static PARTS: std::sync::OnceLock<Vec<&'static str>> = std::sync::OnceLock::new();
                PARTS.get_or_init(|| <Self as crate::store::known::Known>::text().split('?').collect())
            }
        }
    };
}
pub(super) use known;
