//! What model requests cost, by the prices in the configuration.

use longshore_gateway::LlmUsage;
use longshore_session::ModelUse;
use serde::Deserialize;

use crate::config::ModelSection;

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    pub input: f64,
    pub output: f64,
    /// Input that comes from the provider's cache; as other input where it is not given.
    pub cached: Option<f64>,
}

impl ModelPrice {
    pub fn is_sound(&self) -> bool {
        [Some(self.input), Some(self.output), self.cached].into_iter().flatten().all(|price| price.is_finite() && price >= 0.0)
    }

    /// In millionths of a dollar, which is what one token costs at a dollar for a million.
    fn micros(&self, usage: LlmUsage) -> u64 {
        let cached = usage.cached_input_tokens.min(usage.input_tokens);
        let fresh = usage.input_tokens - cached;
        let sum = fresh as f64 * self.input + cached as f64 * self.cached.unwrap_or(self.input) + usage.output_tokens as f64 * self.output;
        sum.round() as u64
    }
}

impl ModelSection {
    /// A request's usage with its price, if its model has one.
    pub fn priced(&self, model: Option<String>, usage: LlmUsage) -> ModelUse {
        let model = model.unwrap_or_else(|| self.agent.clone());
        let cost_micros = self.price(&model).map(|price| price.micros(usage));
        ModelUse { model, input: usage.input_tokens, output: usage.output_tokens, cached: usage.cached_input_tokens, cost_micros }
    }

    /// Providers answer with the dated name of what was asked for: `gpt-5.1` comes back as `gpt-5.1-2025-11-13`.
    fn price(&self, model: &str) -> Option<&ModelPrice> {
        let is_date =
            |rest: &str| rest.starts_with(['-', '@']) && rest[1..].chars().all(|c| c.is_ascii_digit() || c == '-') && rest.len() > 8;
        let undated = || {
            let mut names = self.prices.keys().filter(|name| model.strip_prefix(name.as_str()).is_some_and(is_date));
            names.next().and_then(|name| self.prices.get(name))
        };
        self.prices.get(model).or_else(undated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(model: &str, usage: LlmUsage) -> Option<u64> {
        let section = "agent = \"gpt-5.1\"\n[prices.\"gpt-5.1\"]\ninput = 1.25\noutput = 10\ncached = 0.125\n[prices.\"gpt-5\"]\ninput = 1\noutput = 2\n";
        let section: ModelSection = toml::from_str(section).unwrap();
        section.priced((!model.is_empty()).then(|| model.to_owned()), usage).cost_micros
    }

    #[test]
    fn a_request_costs_what_its_models_prices_say() {
        let usage = LlmUsage { input_tokens: 10_000, output_tokens: 1_000, cached_input_tokens: 8_000 };
        // 2,000 fresh, 8,000 cached, 1,000 out.
        assert_eq!(cost("gpt-5.1", usage), Some(2_500 + 1_000 + 10_000));
        assert_eq!(cost("gpt-5.1-2025-11-13", usage), Some(13_500));
        assert_eq!(cost("", usage), Some(13_500), "the configured model, where the provider names none");
        assert_eq!(cost("gpt-5@20250807", usage), Some(10_000 + 2_000), "cached input as other input");
        assert_eq!(cost("gpt-5-mini", usage), None, "another model");
        assert_eq!(cost("other", usage), None);
        let odd = LlmUsage { input_tokens: 1, output_tokens: 0, cached_input_tokens: 5 };
        assert_eq!(cost("gpt-5.1", odd), Some(0));
    }
}
