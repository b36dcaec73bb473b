//! "Did you mean …?": the known word nearest to a mistyped one.
//!
//! Promises: a suggestion only where the two are near enough that a person
//! would call it a slip; hyphens and capitals alone are always such a slip, and
//! so is a word cut short or made longer.

/// The word nearest to `typed`, if one is near.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = plain(typed);
    known
        .into_iter()
        .map(|word| (closeness(&typed, &plain(word)), word))
        .filter(|(distance, word)| *distance <= word.chars().count().div_ceil(3).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The distance, but at most 1 where one word of some length begins the other.
fn closeness(typed: &[char], word: &[char]) -> usize {
    let begins = typed.len().min(word.len()) >= 3 && (typed.starts_with(word) || word.starts_with(typed));
    distance(typed, word).min(if begins { 1 } else { usize::MAX })
}

fn plain(word: &str) -> Vec<char> {
    word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours from one to the
/// other (optimal string alignment).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut earlier = None;
    for (row, a) in from.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, b) in to.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&last, column) + usize::from(a != b)).min(at(&last, column + 1) + 1).min(at(&next, column) + 1);
            let swapped = column > 0 && earlier == Some(*b) && to.get(column - 1) == Some(a);
            if swapped {
                best = best.min(at(&before, column - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut last, next);
        earlier = Some(*a);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(from: &str, to: &str) -> usize {
        distance(&plain(from), &plain(to))
    }

    #[test]
    fn distances() {
        assert_eq!(between("", ""), 0);
        assert_eq!(between("", "abc"), 3);
        assert_eq!(between("abc", ""), 3);
        assert_eq!(between("kitten", "sitting"), 3);
        assert_eq!(between("partitoins", "partitions"), 1);
        assert_eq!(between("batch-bytes", "batch_bytes"), 0);
    }

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["account", "url", "user", "role", "request_timeout"];
        assert_eq!(nearest("acount", known), Some("account"));
        assert_eq!(nearest("usre", known), Some("user"));
        assert_eq!(nearest("Request-Timeout", known), Some("request_timeout"));
        assert_eq!(nearest("rolle", known), Some("role"));
        assert_eq!(nearest("request", known), Some("request_timeout"));
        assert_eq!(nearest("accounts_url", known), Some("account"));
        assert_eq!(nearest("private_key", known), None);
        assert_eq!(nearest("x", known), None);
    }
}
