//! Text for a terminal: what others wrote is printed so that no terminal takes it for orders.

/// `text` on one line, with every control character escaped.
pub(super) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}
