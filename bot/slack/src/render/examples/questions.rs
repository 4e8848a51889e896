//! What the agent asks of people, and what became of it.

use longshore_session::{Question, QuestionId};

use super::{Example, ana, ben, session, thread};
use crate::render::{AskedQuestion, ClosedQuestion, QuestionFate};

pub(super) fn all() -> Vec<Example> {
    let closed =
        |name, when, fate| thread(name, when, &ClosedQuestion { question: question(&["Refuse it"]), fate }, ClosedQuestion::render);
    let asked = |name, when, options| thread(name, when, &asked(options), AskedQuestion::render);
    let words = "neither: <@U0ANA> asks them\nfor a new one".to_owned();
    vec![
        asked("question", "The agent needs an answer to go on; each option is a button.", &["Refuse it", "Take it & warn"]),
        asked("question-open", "A question without options.", &[]),
        closed("question-picked", "Somebody pressed a button.", QuestionFate::Picked { by: ben(), option: "Refuse it".to_owned() }),
        closed("question-replied", "Somebody answered in their own words.", QuestionFate::Replied { by: ben(), words }),
        closed("question-dropped", "Somebody stopped the session while it waited.", QuestionFate::Dropped { by: ben() }),
    ]
}

fn asked(options: &[&str]) -> AskedQuestion {
    AskedQuestion { session: session(), asker: ana(), question: question(options) }
}

fn question(options: &[&str]) -> Question {
    Question {
        id: QuestionId::parse("q-0123456789abcdef").unwrap(),
        text: "Shall an expired coupon be *refused*, or taken with a warning? <!here>\n\nBoth are in `coupons.py` today.".to_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
    }
}
