//! The words by which a repository speaks of itself, for routing.

use std::collections::{HashMap, HashSet};

/// Words kept at the most.
const MOST: usize = 2000;

/// Prints, with form feeds between: the README's beginning, every tracked path, the lines of package files that give a name.
pub(super) const GATHER: &str = r#"
readme="$(git ls-files | grep -iE '^readme[^/]*$' | head -n 1)"
[ -z "$readme" ] || head -c 65536 -- "$readme"
printf '\f'
git ls-files | head -n 20000
printf '\f'
git grep -hIE '^[[:space:]]*("name"|name|module|spec\.name)[[:space:]]*[:= ]' -- '*package.json' '*Cargo.toml' '*pyproject.toml' '*go.mod' '*.gemspec' '*setup.cfg' | head -n 200
true
"#;

/// The vocabulary of what [`GATHER`] printed: package names first, then names of folders and files, then the README's words, each the commoner first.
pub(super) fn read(output: &str) -> Vec<String> {
    let mut parts = output.splitn(3, '\u{c}');
    let (readme, paths, names) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));

    let mut found = Vocabulary::default();
    let values = names.lines().filter_map(|line| line.split_once([':', '=', ' ']).map(|(_, value)| value));
    found.add_by_frequency(values.flat_map(words));
    // A path's folders count once per file in them, so the large ones come first.
    let folders = paths.lines().filter_map(|path| path.rsplit_once('/')).flat_map(|(folder, _)| words(folder));
    found.add_by_frequency(folders);
    let files = paths.lines().map(|path| path.rsplit_once('/').map_or(path, |(_, file)| file)).flat_map(words);
    found.add_by_frequency(files);
    found.add_by_frequency(words(readme));
    found.words
}

#[derive(Default)]
struct Vocabulary {
    words: Vec<String>,
    seen: HashSet<String>,
}

impl Vocabulary {
    fn add_by_frequency(&mut self, words: impl Iterator<Item = String>) {
        let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
        for (position, word) in words.enumerate() {
            counts.entry(word).or_insert((0, position)).0 += 1;
        }
        let mut order: Vec<(String, (usize, usize))> = counts.into_iter().collect();
        order.sort_by_key(|(_, (count, first))| (std::cmp::Reverse(*count), *first));
        for (word, _) in order {
            if self.words.len() < MOST && self.seen.insert(word.clone()) {
                self.words.push(word);
            }
        }
    }
}

/// Lower-case words of three letters and more, names in camel case split.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).flat_map(camel_parts).map(str::to_lowercase).filter(|word| {
        let length = word.chars().count();
        (3..=32).contains(&length) && !word.chars().all(|c| c.is_ascii_digit()) && !is_hash(word)
    })
}

fn camel_parts(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before: Option<char> = None;
    for (index, c) in word.char_indices() {
        if c.is_uppercase() && before.is_some_and(char::is_lowercase) {
            parts.push(&word[start..index]);
            start = index;
        }
        before = Some(c);
    }
    parts.push(&word[start..]);
    parts
}

fn is_hash(word: &str) -> bool {
    word.len() >= 7 && word.chars().all(|c| c.is_ascii_hexdigit()) && word.chars().any(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_come_before_prose() {
        let output = "# Shop\nPays with cards. Cards!\n\u{c}src/checkout/cart.rs\nsrc/checkout/retryPolicy.rs\nREADME.md\n\u{c}name = \"shop-core\"\n";
        let found = read(output);
        assert_eq!(&found[..6], ["shop", "core", "src", "checkout", "cart", "retry"]);
        let position = |word: &str| found.iter().position(|w| w == word).unwrap();
        assert!(position("cards") < position("pays"), "{found:?}");
        assert_eq!(found.iter().filter(|word| *word == "shop").count(), 1);
    }

    proptest! {
        #[test]
        fn any_output_gives_bounded_words(text in ".{0,400}") {
            let found = read(&text);
            prop_assert!(found.len() <= MOST && found.iter().all(|word| word.chars().count() >= 3 || word.len() >= 3));
        }
    }
}
