//! What an agent printed, made fit for a log.

/// Printable text without the given secrets, without what follows `Bearer `, at most the last `lines` lines.
pub(crate) fn scrub(bytes: &[u8], secrets: &[String], lines: usize) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let mut parts = text.split("Bearer ");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let token_end = part.find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/=".contains(c))).unwrap_or(part.len());
        clean.push_str("Bearer [removed]");
        clean.push_str(&part[token_end..]);
    }
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        clean = clean.replace(secret.as_str(), "[removed]");
    }
    let kept: Vec<&str> = clean.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    kept[kept.len().saturating_sub(lines)..].join("\n")
}

/// At most `limit` bytes of the text, cut between characters and marked where something is missing.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let cut = boundary_before(text, limit.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..cut])
}

/// Like [`shorten`], but keeps both ends: the last lines of a command's output tell the most.
pub(crate) fn shorten_middle(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let head = boundary_before(text, limit / 3);
    let kept = limit.saturating_sub(limit / 3 + '…'.len_utf8() + 2);
    let tail = (text.len() - kept..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    format!("{}\n…\n{}", &text[..head], &text[tail..])
}

/// The last place at or before `at` where the text can be cut.
fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_and_control_characters_do_not_get_through() {
        let text = scrub(b"one\n\x1b[31mfail: Authorization: Bearer abc.def-1, key=tok-123\x07\n\n", &["tok-123".to_owned()], 1);
        assert_eq!(text, "[31mfail: Authorization: Bearer [removed], key=[removed]");
    }

    proptest! {
        #[test]
        fn shortened_text_keeps_its_limit(text in ".{0,200}", limit in 30usize..100) {
            prop_assert!(shorten(&text, limit).len() <= limit);
            prop_assert!(shorten_middle(&text, limit).len() <= limit);
        }

        #[test]
        fn no_secret_survives(before in ".{0,20}", after in ".{0,20}") {
            let text = scrub(format!("{before}s3cr3t-token{after}").as_bytes(), &["s3cr3t-token".to_owned()], 50);
            prop_assert!(!text.contains("s3cr3t-token"));
        }
    }
}
