//! Settings that are one of a few words.
//!
//! [`choice!`] declares the enum, its words and their meanings in one place, so
//! that the parser, the error ("one of …") and the reference page cannot
//! disagree. It leaves reading the file to [`super::reading`].

/// An enum whose variants are the allowed words of one setting.
pub trait Choice: Copy + Sized + 'static {
    /// Every allowed word with its meaning, in the order of the declaration.
    const WORDS: &'static [(&'static str, &'static str)];

    /// The variant that `word` names; words are matched exactly.
    fn from_word(word: &str) -> Option<Self>;

    /// The word of this variant, as it stands in the file.
    fn as_str(self) -> &'static str;
}

/// Declares an enum that is a [`Choice`].
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $word:literal, $meaning:literal;)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`: ", $meaning)] $variant,)+
        }

        impl $crate::config::choice::Choice for $name {
            const WORDS: &'static [(&'static str, &'static str)] = &[$(($word, $meaning)),+];

            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str($crate::config::choice::Choice::as_str(*self))
            }
        }

        impl $crate::config::value::FromValue for $name {
            fn from_value(value: &$crate::config::value::Value) -> Option<Self> {
                match value {
                    $crate::config::value::Value::Text(word) => {
                        <Self as $crate::config::choice::Choice>::from_word(word)
                    }
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use choice;
