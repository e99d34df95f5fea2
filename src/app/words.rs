//! Words of a name, a description or a query, as the search index keeps them.

/// The most characters of a word that count; longer words match by their beginning.
pub const WORD_MAX_CHARS: usize = 64;

/// The most words that a query may have; each costs one scan of the index.
pub const QUERY_WORDS_MAX: usize = 16;

/// The words of a text: runs of letters and digits, lower-cased, cut to [`WORD_MAX_CHARS`].
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| lower_case(word, WORD_MAX_CHARS))
}

/// A name without regard to case and to spaces around it, as the index of names keeps it.
pub(super) fn folded(name: &str) -> String {
    lower_case(name.trim(), usize::MAX)
}

/// At most so many characters of the text in lower case.
fn lower_case(text: &str, max_chars: usize) -> String {
    // The same, and most texts are such.
    if text.is_ascii() {
        return text.get(..max_chars).unwrap_or(text).to_ascii_lowercase();
    }
    let letters = text.chars().flat_map(char::to_lowercase);
    // One letter, written in another way at the end of a word.
    letters.map(|c| if c == 'ς' { 'σ' } else { c }).take(max_chars).collect()
}

#[cfg(test)]
mod tests {
    use super::{folded, words};

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let found: Vec<_> = words("AWS-Production (Größe 2)").collect();
        assert_eq!(found, ["aws", "production", "größe", "2"]);
        assert_eq!(words("... --").count(), 0);
        assert_eq!(words(&"x".repeat(1000)).next().unwrap().len(), 64);
        assert_eq!(folded("  IT Essentials "), "it essentials");
        for name in ["ΟΔΟΣ", "οδος", "Οδοσ"] {
            assert_eq!(folded(name), "οδοσ");
            assert_eq!(words(name).collect::<Vec<_>>(), ["οδοσ"]);
        }
    }
}
