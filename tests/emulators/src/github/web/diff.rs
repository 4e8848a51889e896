//! A file's diff as a table.

use super::{super::git::FileChange, escape};

/// The new side's and the old side's line where a hunk starts.
fn hunk_start(header: &str) -> (u64, u64) {
    let mut parts = header.split_whitespace().skip(1);
    let mut number = |sign: char| -> u64 {
        let part = parts.next().unwrap_or_default().trim_start_matches(sign);
        part.split(',').next().unwrap_or_default().parse().unwrap_or(1)
    };
    let old = number('-');
    (old, number('+'))
}

pub(super) fn file(change: &FileChange) -> String {
    let title = match &change.previous {
        Some(previous) => format!("{} → {}", escape(previous), escape(&change.path)),
        None => escape(&change.path),
    };
    let mut rows = String::new();
    let (mut old, mut new) = (0_u64, 0_u64);
    for line in change.patch.as_deref().unwrap_or_default().lines() {
        let (class, left, right) = match line.as_bytes().first() {
            Some(b'@') => {
                (old, new) = hunk_start(line);
                rows.push_str(&format!("<tr class=hunk><td></td><td></td><td><pre>{}</pre></td></tr>", escape(line)));
                continue;
            }
            Some(b'+') => {
                new += 1;
                ("add", String::new(), (new - 1).to_string())
            }
            Some(b'-') => {
                old += 1;
                ("del", (old - 1).to_string(), String::new())
            }
            Some(b'\\') => ("meta", String::new(), String::new()),
            _ => {
                old += 1;
                new += 1;
                ("ctx", (old - 1).to_string(), (new - 1).to_string())
            }
        };
        rows.push_str(&format!("<tr class={class}><td>{left}</td><td>{right}</td><td><pre>{}</pre></td></tr>", escape(line)));
    }
    if rows.is_empty() {
        let what = if change.status == "renamed" { "File renamed without changes." } else { "Binary or empty file." };
        rows = format!("<tr class=meta><td></td><td></td><td>{what}</td></tr>");
    }
    format!(
        "<details class=file open><summary><span class=path>{title}</span><span class=tag>{}</span><span class=plus>+{}</span>\
         <span class=minus>−{}</span></summary><div class=scroll><table class=diff>{rows}</table></div></details>",
        change.status, change.additions, change.deletions
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_the_numbers_of_their_side() {
        let patch = "@@ -3,3 +5,3 @@ fn x\n a\n-b\n+<c>\n d".to_owned();
        let change = FileChange { path: "x".into(), previous: None, status: "modified", additions: 1, deletions: 1, patch: Some(patch) };
        let html = file(&change);
        assert!(html.contains("<tr class=ctx><td>3</td><td>5</td>"), "{html}");
        assert!(html.contains("<tr class=del><td>4</td><td></td>"), "{html}");
        assert!(html.contains("<tr class=add><td></td><td>6</td><td><pre>+&lt;c&gt;</pre>"), "{html}");
    }
}
