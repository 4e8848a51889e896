//! Slack's message markup made readable: `<@U1>`, `<#C1|name>`, `<https://…|label>`, `<!here>`, and `&amp;` `&lt;` `&gt;`.

use longshore_session::SlackUserId;

/// One piece of a raw text.
enum Piece<'a> {
    Plain(&'a str),
    /// What stands between `<` and `>`.
    Markup(&'a str),
}

/// A `<` without its `>` is plain text.
fn pieces(raw: &str) -> Vec<Piece<'_>> {
    let mut rest = raw;
    let mut found = Vec::new();
    while let Some(start) = rest.find('<') {
        let Some(length) = rest[start + 1..].find('>') else { break };
        if start > 0 {
            found.push(Piece::Plain(&rest[..start]));
        }
        found.push(Piece::Markup(&rest[start + 1..start + 1 + length]));
        rest = &rest[start + length + 2..];
    }
    if !rest.is_empty() {
        found.push(Piece::Plain(rest));
    }
    found
}

/// Splits `target|label`.
fn labelled(markup: &str) -> (&str, Option<&str>) {
    markup.split_once('|').map_or((markup, None), |(target, label)| (target, Some(label).filter(|label| !label.is_empty())))
}

fn is_mention_of(markup: &str, user: &SlackUserId) -> bool {
    labelled(markup).0.strip_prefix('@') == Some(user.as_str())
}

pub(super) fn mentions(raw: &str, user: &SlackUserId) -> bool {
    pieces(raw).iter().any(|piece| matches!(piece, Piece::Markup(markup) if is_mention_of(markup, user)))
}

/// Whom a text that begins with a mention speaks to.
pub(super) fn addressee(raw: &str) -> Option<SlackUserId> {
    match pieces(raw.trim_start()).first() {
        Some(Piece::Markup(markup)) => SlackUserId::parse(labelled(markup).0.strip_prefix('@')?).ok(),
        Some(Piece::Plain(_)) | None => None,
    }
}

/// The text as a person reads it, without mentions of `bot`.
pub fn readable(raw: &str, bot: &SlackUserId) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut after_mention = false;
    for piece in pieces(raw) {
        match piece {
            Piece::Plain(plain) => {
                // The gap that the mention leaves: one blank, not two.
                let joint = after_mention && (text.is_empty() || text.ends_with([' ', '\n']));
                let plain = if joint { plain.trim_start_matches(' ') } else { plain };
                text.push_str(&entities(plain));
                after_mention = false;
            }
            Piece::Markup(markup) if is_mention_of(markup, bot) => after_mention = true,
            Piece::Markup(markup) => {
                text.push_str(&entities(&spoken(markup)));
                after_mention = false;
            }
        }
    }
    text.trim().to_owned()
}

fn spoken(markup: &str) -> String {
    let (target, label) = labelled(markup);
    if let Some(user) = target.strip_prefix('@') {
        return format!("@{}", label.unwrap_or(user).trim_start_matches('@'));
    }
    if let Some(channel) = target.strip_prefix('#') {
        return format!("#{}", label.unwrap_or(channel).trim_start_matches('#'));
    }
    if let Some(special) = target.strip_prefix('!') {
        let word = special.split('^').next().unwrap_or(special);
        return match label {
            // `<!subteam^S1|@team>`, `<!date^…|fallback>`
            Some(label) => label.to_owned(),
            None => format!("@{word}"),
        };
    }
    let address = target.strip_prefix("mailto:").or_else(|| target.strip_prefix("tel:")).unwrap_or(target);
    match label {
        Some(label) if label != address && label != target && !is_shortened(label, address) => format!("{label} ({address})"),
        _ => address.to_owned(),
    }
}

/// Slack labels a bare `example.com` with itself and links to `http://example.com`.
fn is_shortened(label: &str, address: &str) -> bool {
    address.split_once("://").is_some_and(|(_, rest)| rest.trim_end_matches('/') == label.trim_end_matches('/'))
}

/// Slack escapes just these three.
pub(super) fn entities(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bot() -> SlackUserId {
        SlackUserId::parse("UBOT").unwrap()
    }

    #[test]
    fn markup_reads_as_a_person_sees_it() {
        for (raw, expected) in [
            ("<@UBOT> fix the <https://x.test/a|build page>", "fix the build page (https://x.test/a)"),
            ("hey <@UBOT|longshore>, please", "hey , please"),
            ("please <@UBOT> fix it", "please fix it"),
            ("<@UBOT>\n```if a &lt; b &amp;&amp; c &gt; d```", "```if a < b && c > d```"),
            ("ask <@U2> in <#C9|general> or <#C8>", "ask @U2 in #general or #C8"),
            ("<!here> <!subteam^S1|@core> <!date^1^{date}|Monday>", "@here @core Monday"),
            ("<mailto:a@b.test|a@b.test> <http://b.test|b.test>", "a@b.test http://b.test"),
            ("a < b and no end", "a < b and no end"),
            ("&amp;lt; stays", "&lt; stays"),
            ("<@UBOT>", ""),
        ] {
            assert_eq!(readable(raw, &bot()), expected, "{raw}");
        }
    }

    #[test]
    fn a_text_speaks_to_whom_it_names_first() {
        let to = |raw: &str| addressee(raw).map(String::from);
        assert_eq!(to(" <@U2|ben> can you look?"), Some("U2".to_owned()));
        for raw in ["ask <@U2>", "<!here> all", "<#C1>", "<@>", ""] {
            assert_eq!(to(raw), None, "{raw}");
        }
    }

    #[test]
    fn only_our_own_id_is_a_mention() {
        assert!(mentions("hi <@UBOT|bot>", &bot()));
        assert!(!mentions("hi <@UBOT2> @UBOT <#UBOT>", &bot()));
    }
}
