//! Texts within Slack's limits: escaped, cut, split, and spelled out for people.

use std::time::Duration;

/// For Slack's markup and accessible texts.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// At most `limit` characters, with `…` where something was cut.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// On one line and escaped, all within `limit` characters; no escape is cut in two.
pub(super) fn line(text: &str, limit: usize) -> String {
    let text = one_line(text);
    let length = |c: char| match c {
        '&' => 5,
        '<' | '>' => 4,
        _ => 1,
    };
    if text.chars().map(length).sum::<usize>() <= limit {
        return escape(&text);
    }
    let mut room = limit.saturating_sub(1);
    let short: String = text
        .chars()
        .take_while(|c| {
            let fits = length(*c) <= room;
            room = room.saturating_sub(length(*c));
            fits
        })
        .collect();
    format!("{}…", escape(short.trim_end()))
}

/// White space of any kind becomes single blanks.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Inline code in Slack's markup, on one line. Backquotes cannot be escaped there and are left out.
pub(super) fn code(text: &str, limit: usize) -> String {
    let text = line(&text.replace('`', "'"), limit);
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

/// A block of code in Slack's markup, of at most `limit` characters; the end is what counts.
pub(super) fn fenced(text: &str, limit: usize) -> String {
    let text = escape(&text.replace("```", "'''"));
    let skip = text.chars().count().saturating_sub(limit);
    let mut shown: String = text.chars().skip(skip).collect();
    // No escape is cut in two.
    if skip > 0
        && let Some(end) = shown.char_indices().take(5).find(|(_, c)| *c == ';').map(|(at, _)| at)
    {
        shown.drain(..=end);
    }
    format!("```\n{shown}\n```")
}

/// A link in Slack's markup. The address may not end the link early.
pub(super) fn link(url: &str, label: &str) -> String {
    let url = url.replace('&', "&amp;").replace('<', "%3C").replace('>', "%3E").replace('|', "%7C").replace(' ', "%20");
    format!("<{url}|{}>", line(label, 150).replace('|', "/"))
}

/// `8 s`, `1 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn elapsed(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, 0, _) => format!("{h} h"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, 0, ..) => format!("{d} d"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}

/// Short spans with their tenths (`0.3 s`), long ones as [`elapsed`].
pub(super) fn precise(span: Duration) -> String {
    match span.as_millis() {
        0..10 => "under 0.01 s".to_owned(),
        10..1_000 => format!("{:.2} s", span.as_secs_f64()),
        1_000..60_000 => format!("{:.1} s", span.as_secs_f64()),
        _ => elapsed(span),
    }
}

/// `1 file`, `2 files`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Text of an agent's, which must not call people: Slack would read `<!here>` and `<@U1>` in markdown, too.
pub(super) fn quiet(markdown: &str) -> String {
    let mut text = markdown.to_owned();
    for mark in ["<!", "<@", "<#"] {
        // A zero-width space between the two: looks the same, means nothing.
        text = text.replace(mark, &format!("<\u{200b}{}", &mark[1..]));
    }
    text
}

/// Splits markdown into parts of at most `limit` characters, at paragraphs or lines where that is possible. A code fence that is cut is
/// closed, and opened again (with its language) in the next part.
pub(super) fn split_markdown(text: &str, limit: usize) -> Vec<String> {
    // Room for closing a fence and opening it again.
    const SPARE: usize = 64;
    debug_assert!(limit > 4 * SPARE, "parts too small to be worth splitting");
    if text.chars().count() <= limit {
        return if text.trim().is_empty() { Vec::new() } else { vec![text.to_owned()] };
    }
    let room = limit - SPARE;
    let mut parts = Vec::new();
    let mut part = Part::default();
    for line in text.split_inclusive('\n') {
        for piece in chunks(line, room - SPARE) {
            if part.length + piece.chars().count() > room {
                let next = part.reopened();
                parts.push(std::mem::replace(&mut part, next).closed());
            } else if part.fence.is_none() && piece.trim().is_empty() && part.length > room * 3 / 4 {
                // A paragraph's end near the limit is a better place than the limit.
                parts.push(std::mem::take(&mut part).closed());
                continue;
            }
            part.push(piece);
        }
    }
    parts.push(part.closed());
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// A part of a split text while it grows.
#[derive(Default)]
struct Part {
    text: String,
    /// Characters of `text`.
    length: usize,
    /// The line that opened the code fence that is still open.
    fence: Option<String>,
}

impl Part {
    fn push(&mut self, piece: &str) {
        let mark = piece.trim();
        if let Some(ticks) = fence_marks(mark) {
            match &self.fence {
                Some(open)
                    if fence_marks(open).is_some_and(|opened| mark.starts_with(opened)) && mark.trim_matches(['`', '~']).is_empty() =>
                {
                    self.fence = None;
                }
                Some(_) => {}
                None => self.fence = Some(format!("{ticks}{}", cut(&mark[ticks.len()..], 20))),
            }
        }
        self.text.push_str(piece);
        self.length += piece.chars().count();
    }

    fn closed(mut self) -> String {
        if let Some(marks) = self.fence.as_deref().and_then(fence_marks) {
            if !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            self.text.push_str(marks);
        }
        self.text.trim_end().to_owned()
    }

    fn reopened(&self) -> Self {
        match &self.fence {
            Some(fence) => {
                let text = format!("{fence}\n");
                Self { length: text.chars().count(), text, fence: Some(fence.clone()) }
            }
            None => Self::default(),
        }
    }
}

/// The leading run of three or more backquotes or tildes (at most ten count).
fn fence_marks(line: &str) -> Option<&str> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let run = line.chars().take_while(|c| *c == mark).count();
    (run >= 3).then(|| &line[..run.min(10)])
}

/// Pieces of at most `limit` characters.
fn chunks(line: &str, limit: usize) -> Vec<&str> {
    let mut rest = line;
    let mut found = Vec::new();
    while let Some((end, _)) = rest.char_indices().nth(limit) {
        // At a blank where there is one in the last half.
        let at = rest[..end].rfind(' ').map(|blank| blank + 1).filter(|at| *at > end / 2).unwrap_or(end);
        found.push(&rest[..at]);
        rest = &rest[at..];
    }
    found.push(rest);
    found
}

/// Markdown as words for notifications: without fences, marks and links' addresses, on one line.
pub(super) fn plain(markdown: &str, limit: usize) -> String {
    let mut words = Vec::new();
    let mut fenced = false;
    for line in markdown.lines() {
        if fence_marks(line.trim()).is_some() {
            fenced = !fenced;
        } else if !fenced {
            words.push(line.trim().trim_start_matches(['#', '-', '*', '>', ' ']));
        }
    }
    let text: String = words.join(" ").chars().filter(|c| !matches!(c, '*' | '`' | '_')).collect();
    line(&text, limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_read_well() {
        let spoken: Vec<String> = [8, 60, 80, 3_600, 7_500, 90_000, 172_800].map(|s| elapsed(Duration::from_secs(s))).to_vec();
        assert_eq!(spoken, ["8 s", "1 min", "1 min 20 s", "1 h", "2 h 5 min", "1 d 1 h", "2 d"]);
        let exact: Vec<String> = [3, 40, 300, 2_140, 61_000].map(|ms| precise(Duration::from_millis(ms))).to_vec();
        assert_eq!(exact, ["under 0.01 s", "0.04 s", "0.30 s", "2.1 s", "1 min 1 s"]);
    }

    #[test]
    fn foreign_text_calls_nobody() {
        assert_eq!(line("a <!here> & <@U1>\nb", 80), "a &lt;!here&gt; &amp; &lt;@U1&gt; b");
        assert!(!quiet("hi <!channel> <@U1>").contains("<!"));
        assert_eq!(code("a`b", 10), "`a'b`");
        assert_eq!(link("https://x.test/?a=1&b=|2>", "see|it"), "<https://x.test/?a=1&amp;b=%7C2%3E|see/it>");
    }

    #[test]
    fn a_cut_fence_is_closed_and_opened_again() {
        let body = "let x = 1;\n".repeat(100);
        let parts = split_markdown(&format!("Before.\n\n```rust\n{body}```\n\nAfter."), 600);
        assert!(parts.len() > 1);
        for part in &parts {
            assert_eq!(part.matches("```").count() % 2, 0, "{part}");
        }
        assert!(parts[1].starts_with("```rust\nlet x"), "{}", parts[1]);
        assert!(parts.last().unwrap().ends_with("After."));
    }

    proptest! {
        #[test]
        fn parts_hold_everything_within_the_limit(lines in prop::collection::vec("[a-z é`]{0,90}|```rust|```|", 0..60)) {
            let text = lines.join("\n");
            let parts = split_markdown(&text, 400);
            prop_assert!(parts.iter().all(|part| part.chars().count() <= 400));
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
            let rust = |text: &str| text.matches("rust").count() * 4;
            // Only the names of fences that were opened again are added.
            let kept: usize = parts.iter().map(|part| letters(part) - rust(part)).sum();
            prop_assert_eq!(kept, letters(&text) - rust(&text));
        }

        #[test]
        fn cutting_keeps_the_limit(text in "\\PC{0,80}", limit in 1_usize..40) {
            prop_assert!(cut(&text, limit).chars().count() <= limit);
            prop_assert!(line(&text, limit).chars().count() <= limit);
            let _ = (plain(&text, limit), quiet(&text), code(&text, limit));
        }
    }
}
