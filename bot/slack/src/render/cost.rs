//! What a turn's model requests came to.

/// Requests whose model has a price count as money, the others as tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Millionths of a US dollar.
    pub micros: u64,
    pub unpriced_tokens: u64,
}

impl Spent {
    /// None where nothing was asked of a model yet.
    pub fn words(self) -> Option<String> {
        let money = (self.micros > 0).then(|| money(self.micros));
        let tokens = (self.unpriced_tokens > 0).then(|| tokens(self.unpriced_tokens));
        match (money, tokens) {
            (None, None) => None,
            (Some(only), None) | (None, Some(only)) => Some(only),
            (Some(money), Some(tokens)) => Some(format!("{money} and {tokens}")),
        }
    }
}

/// `under $0.01`, `$0.42`, `$12.00`.
fn money(micros: u64) -> String {
    let cents = (micros + 5_000) / 10_000;
    if cents == 0 { "under $0.01".to_owned() } else { format!("${}.{:02}", cents / 100, cents % 100) }
}

/// `1 token`, `980 tokens`, `12.3k tokens`, `1.2M tokens`.
fn tokens(number: u64) -> String {
    match number {
        1 => "1 token".to_owned(),
        0..1_000 => format!("{number} tokens"),
        1_000..999_950 => format!("{}k tokens", tenths(number, 1_000)),
        _ => format!("{}M tokens", tenths(number, 1_000_000)),
    }
}

fn tenths(number: u64, unit: u64) -> String {
    let tenths = (number * 10 + unit / 2) / unit;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_tokens_read_well() {
        let words = |micros, unpriced_tokens| Spent { micros, unpriced_tokens }.words().unwrap_or_default();
        assert_eq!(words(0, 0), "");
        assert_eq!(words(3_000, 0), "under $0.01");
        assert_eq!(words(415_000, 0), "$0.42");
        assert_eq!(words(12_000_000, 980), "$12.00 and 980 tokens");
        assert_eq!([words(0, 1), words(0, 12_345), words(0, 999_950)], ["1 token", "12.3k tokens", "1.0M tokens"]);
    }
}
